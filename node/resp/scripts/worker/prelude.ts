/** What a script finds: the rest of Lua's libraries goes, and a mistyped name is an error. @module */

/**
 * Run before each script. It gets `host`, a table of our functions. Code comes as text only: a chunk of bytes that no
 * compiler has made could do anything within the VM.
 */
export const PRELUDE = `
local host = ...
local clock, compile, byte, raise, type, select = os.clock, loadstring, string.byte, error, type, select
os = { clock = clock }
for _, name in ipairs({ "io", "package", "require", "module", "debug", "dofile", "loadfile", "print", "newproxy" }) do
  _G[name] = nil
end
loadstring = function(text, name)
  if type(text) == "string" and byte(text, 1) == 27 then return nil, "attempt to load a binary chunk" end
  return compile(text, name)
end
load = function(read, name)
  local pieces = {}
  while true do
    local piece = read()
    if piece == nil or piece == "" then break end
    pieces[#pieces + 1] = piece
  end
  return loadstring(table.concat(pieces), name)
end
local function text_of(...)
  local text = ...
  if select("#", ...) ~= 1 or type(text) ~= "string" then raise("wrong number or type of arguments", 0) end
  return text
end
redis = {
  call = host.call,
  pcall = host.pcall,
  sha1hex = host.sha1hex,
  status_reply = function(...) return { ok = text_of(...) } end,
  error_reply = function(...)
    local text = string.gsub(text_of(...), "^%-", "")
    if not string.find(text, " ", 1, true) then text = "ERR " .. text end
    return { err = text }
  end,
  log = function() end,
  setresp = function(version)
    if version ~= 2 then raise("RESP version must be 2 here", 0) end
  end,
  set_repl = function() end,
  replicate_commands = function() return true end,
  breakpoint = function() return false end,
  LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
  REPL_NONE = 0, REPL_AOF = 1, REPL_SLAVE = 2, REPL_REPLICA = 2, REPL_ALL = 3,
  REDIS_VERSION = host.version, REDIS_VERSION_NUM = host.version_number,
}
server = redis
cjson = {
  encode = host.json_encode,
  decode = host.json_decode,
  null = host.json_null,
}
bit = host.bit
struct = host.struct
cmsgpack = host.cmsgpack
setmetatable(_G, {
  __newindex = function() raise("Attempt to modify a readonly table", 2) end,
  __index = function(_, name)
    raise("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
  end,
})
`;
