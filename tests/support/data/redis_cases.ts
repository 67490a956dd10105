/**
 * What clients of Redis may ask, and what two servers must answer alike: each case begins on an empty
 * database. A command is a line with the quoting of inline commands.
 *
 * @module
 */

/** The lines of one case. */
export type RedisCase = readonly string[];

/**
 * Times to live are compared with this margin, because two servers are not asked at the same moment. No case lets
 * a key live for less than twice as long, or sets two times to live closer to each other and asks which is the
 * later one; only dates are compared to the millisecond.
 */
export const TTL_MARGIN_SECONDS = 500;

/** Whether two servers have answered a command alike, each at its own time. */
export function alike(command: string, a: string, b: string): boolean {
  if (/^time$/i.test(command)) return withoutTime(a) === withoutTime(b);
  const units = /^ttl /i.test(command) ? 1 : /^pttl /i.test(command) ? 1_000 : 0;
  const left = (reply: string) => Number(/^:(\d+)\r\n$/.exec(reply)?.[1] ?? NaN);
  return a === b || Math.abs(left(a) - left(b)) <= TTL_MARGIN_SECONDS * units;
}

function withoutTime(reply: string): string {
  return reply.replace(/\d{10}\r\n\$\d\r\n\d*/, "…");
}

/** Bytes of one line each: `\n` between them. */
function lines(text: string): RedisCase {
  return text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
}

/** A command on keys of every kind: not there, a text, a number, one that expires. */
function onAll(...commands: string[]): RedisCase {
  return commands.flatMap((command) => [
    "MSET n 10 t text {x}",
    "SET e soon EX 1000",
    ...["n", "t", "e", "none"].flatMap((key) => [command.replaceAll("KEY", key), `GET ${key}`]),
  ]).map((line) => line.replace(" {x}", ""));
}

const SET_OPTIONS = [
  "NX",
  "XX",
  "GET",
  "KEEPTTL",
  "EX 1000",
  "PX 1000000",
  "EXAT 9999999999",
  "PXAT 9999999999999",
];

/** Every pair of options of SET, on a key that is there and on one that is not. */
function setOptions(): RedisCase[] {
  const pairs = SET_OPTIONS.flatMap((a) => SET_OPTIONS.map((b) => `${a} ${b}`));
  return [...SET_OPTIONS, ...pairs].map((options) => [
    `SET k new ${options}`,
    "GET k",
    `set k newer ${options.toLowerCase()}`,
    "GET k",
    "PERSIST k",
  ]);
}

const BAD_INTEGERS = ["x", '""', "1.5", " 1", "+1", "01", "-0", "9223372036854775808", "1e3"];

function badIntegers(...commands: string[]): RedisCase[] {
  return commands.map((command) => [
    "SET k 5",
    ...BAD_INTEGERS.map((bad) => command.replace("INT", bad.startsWith(" ") ? `"${bad}"` : bad)),
  ]);
}

const EXPIRES = ["EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"];

/** Wrong numbers of arguments: each command alone, and with one too many. */
const ARITIES = [
  "GET",
  "SET",
  "SETNX",
  "SETEX",
  "PSETEX",
  "GETSET",
  "GETDEL",
  "GETEX",
  "MGET",
  "MSET",
  "MSETNX",
  "APPEND",
  "STRLEN",
  "GETRANGE",
  "SETRANGE",
  "SUBSTR",
  "INCR",
  "INCRBY",
  "INCRBYFLOAT",
  "DECR",
  "DECRBY",
  "SETBIT",
  "GETBIT",
  "BITCOUNT",
  "LCS",
  "DEL",
  "UNLINK",
  "EXISTS",
  "TYPE",
  "KEYS",
  "SCAN",
  "RANDOMKEY",
  "RENAME",
  "RENAMENX",
  "COPY",
  "TOUCH",
  "OBJECT",
  "EXPIRE",
  "PEXPIRE",
  "EXPIREAT",
  "PEXPIREAT",
  "TTL",
  "PTTL",
  "EXPIRETIME",
  "PEXPIRETIME",
  "PERSIST",
  "MULTI",
  "EXEC",
  "DISCARD",
  "WATCH",
  "UNWATCH",
  "ECHO",
  "SELECT",
  "WAIT",
  "DBSIZE",
  "TIME",
  "RESET",
  "CLIENT",
  "CONFIG",
  "AUTH",
];

/** All cases. */
export const REDIS_CASES: readonly RedisCase[] = [
  ...ARITIES.map((name) => [
    name.toLowerCase(),
    ...["RESET", "DISCARD", "EXEC", "MULTI", "TIME", "RANDOMKEY", "DBSIZE", "UNWATCH"].includes(
        name,
      )
      ? [`${name} a`]
      : [`${name} a b c d e f g h`],
  ]),
  lines(`
    PING
    PING "hello there"
    PING a b
    ECHO ""
    ECHO "\\x00\\r\\n"
    FOO
    foo bar
    FOO "a b" c 'd' "\\r\\nx"
    FOO ${"y".repeat(200)} z
    ${"z".repeat(200)} a
    ""
    OBJECT FOO k
    CLIENT NOSUCH
    CONFIG NOSUCH a
    COMMAND NOSUCH
    OBJECT ENCODING
    CLIENT SETNAME
    CLIENT ID x
    SELECT 0
    SELECT 16
    SELECT -1
    SELECT x
    QUITE
  `),
  lines(`
    AUTH x
    AUTH default x
    AUTH nobody x
    AUTH a b c
    HELLO 1
    HELLO 4
    HELLO x
    HELLO 2 SETNAME
    HELLO 2 SETNAME "a b"
    HELLO 2 AUTH default
    HELLO 2 AUTH nobody x
    HELLO 2 FOO
    CLIENT GETNAME
    CLIENT SETNAME me
    CLIENT GETNAME
    CLIENT SETNAME "a b"
    CLIENT SETNAME ""
    CLIENT GETNAME
    CLIENT NO-EVICT on
    CLIENT NO-EVICT off
    CLIENT NO-EVICT maybe
    CLIENT REPLY maybe
    CLIENT LIST TYPE foo
    CLIENT LIST TYPE pubsub
    CLIENT LIST ID
    CLIENT LIST ID x
    CLIENT LIST ID 0
    CLIENT LIST ID 999999
    CLIENT LIST FOO
    RESET
  `),
  lines(`
    GET k
    SET k v
    GET k
    SET k "\\x00\\xff\\r\\n"
    GET k
    STRLEN k
    SET k ""
    GET k
    SETNX k 1
    SETNX l 1
    GETSET k 2
    GETSET m 3
    GETDEL k
    GETDEL k
    SETEX k 1000 v
    TTL k
    SETEX k 0 v
    SETEX k -1 v
    SETEX k x v
    SETEX k 9223372036854775807 v
    SETEX k 9223372036854775 v
    PSETEX k 0 v
    PSETEX k 9223372036854775807 v
    PSETEX k 1000000 v
    TTL k
    PERSIST k
    PERSIST k
    PERSIST none
    TTL k
    TTL none
    PTTL k
    PTTL none
    EXPIRETIME k
    PEXPIRETIME none
  `),
  ...setOptions(),
  ...setOptions().map((one) => ["SET k old EX 1000", ...one]),
  lines(`
    SET k v EX
    SET k v EX x
    SET k v EX 0
    SET k v EX -5
    SET k v PX 0
    SET k v EXAT 0
    SET k v PXAT -1
    SET k v EX 9223372036854775807
    SET k v EX 9223372036854775
    SET k v PX 9223372036854775807
    SET k v EXAT 9223372036854775807
    SET k v EXAT 9223372036854776
    SET k v EX 1000 EX 2000
    SET k v FOO
    SET k v NX FOO
    SET k v EX 1 x
    SET k v EX x XX
    SET k v XX EX 0
    GET k
    SET k v EXAT 1
    GET k
    SET k v PXAT 1
    EXISTS k
  `),
  lines(`
    GETEX k
    SET k v
    GETEX k
    GETEX k EX 1000
    TTL k
    GETEX k PERSIST
    TTL k
    GETEX k PX 1000000
    TTL k
    GETEX k EXAT 9999999999
    EXPIRETIME k
    GETEX k PXAT 9999999999999
    PEXPIRETIME k
    GETEX k EX 0
    GETEX k EX x
    GETEX k EX
    GETEX k EX 9223372036854775807
    GETEX k PERSIST EX 1
    GETEX k EX 1 PERSIST
    GETEX k KEEPTTL
    GETEX k NX
    GETEX k PERSIST PERSIST
    GETEX k EX 1 PX 1
    GETEX k FOO
    GETEX none EX 1000
    GETEX none EX x
    GETEX k EXAT 1
    GET k
  `),
  lines(`
    MSET a 1 b 2 a 3
    MGET a b c a
    MSET a
    MSET a 1 b
    MSETNX a 1 c 2
    MGET a c
    MSETNX c 1 d 2 c 3
    MGET c d
    MSETNX c
    MSETNX c 1 d
    DEL a b b none
    UNLINK c d e
    EXISTS a a
    SET a 1
    EXISTS a a none
    TOUCH a a none
    TYPE a
    TYPE none
    DBSIZE
    KEYS *
    KEYS none*
    RANDOMKEY
    FLUSHALL
    RANDOMKEY
    DBSIZE
    FLUSHALL ASYNC
    FLUSHDB SYNC
    FLUSHALL FOO
    FLUSHALL SYNC SYNC
    KEYS *
  `),
  onAll("INCR KEY", "DECR KEY", "INCRBY KEY 5", "DECRBY KEY 5", "INCRBYFLOAT KEY 1.5"),
  ...badIntegers(
    "INCRBY k INT",
    "DECRBY k INT",
    "SETRANGE k INT x",
    "GETRANGE k INT 1",
    "GETRANGE k 1 INT",
    "GETBIT k INT",
    "SETBIT k INT 1",
    "SETBIT k 1 INT",
    "BITCOUNT k INT 1",
    "BITCOUNT k 0 INT",
    "EXPIRE k INT",
    "SELECT INT",
    "SCAN 0 COUNT INT",
    "WAIT INT 0",
    "WAIT 0 INT",
  ),
  lines(`
    SET k 9223372036854775807
    INCR k
    DECR k
    INCRBY k 2
    INCRBY k -9223372036854775808
    SET k -9223372036854775808
    DECR k
    DECRBY k 1
    DECRBY k -9223372036854775808
    INCRBY k 9223372036854775807
    SET k " 1"
    INCR k
    SET k 01
    INCR k
    SET k ""
    INCR k
    SET k 1.5
    INCR k
    SET k 99999999999999999999
    INCR k
  `),
  lines(`
    INCRBYFLOAT f 0.1
    INCRBYFLOAT f 0.2
    INCRBYFLOAT f -0.3
    SET f 10.50
    INCRBYFLOAT f 0.1
    SET f 5.0e3
    INCRBYFLOAT f 2.0e2
    INCRBYFLOAT f x
    INCRBYFLOAT f ""
    INCRBYFLOAT f " 1"
    INCRBYFLOAT f inf
    INCRBYFLOAT f -inf
    INCRBYFLOAT f nan
    SET f text
    INCRBYFLOAT f 1
    SET f 3
    INCRBYFLOAT f 1
    INCRBYFLOAT f 1e2
    INCRBYFLOAT f -104
    INCRBYFLOAT f .5
    INCRBYFLOAT f 5.
    INCRBYFLOAT f +1
    INCRBYFLOAT f 1.23456789
    SET f 3.0
    INCRBYFLOAT f 1.000000000000000005
    DEL f
    INCRBYFLOAT f 1e-5
    INCRBYFLOAT f 1e-20
    DEL f
    INCRBYFLOAT f 0.024390243902439025
    INCRBYFLOAT f -0.024390243902439025
    SET f 100000000
    INCRBYFLOAT f 0.00001
    SET f 18446744073709551615
    INCRBYFLOAT f 2
    INCRBYFLOAT f -0.5
  `),
  lines(`
    APPEND k a
    APPEND k bc
    APPEND k ""
    GET k
    APPEND none ""
    EXISTS none
    STRLEN k
    STRLEN nothing
    SETRANGE k 1 XY
    GET k
    SETRANGE k 6 Z
    GET k
    SETRANGE k 100 ""
    SETRANGE absent 0 ""
    SETRANGE absent 5 ""
    EXISTS absent
    SETRANGE k -1 x
    SETRANGE k -1 ""
    SETRANGE k 999999999999 x
    SETRANGE absent 3 abc
    GET absent
    SET e v EX 1000
    APPEND e w
    TTL e
    SETRANGE e 0 x
    TTL e
  `),
  [
    'SET k "This is a string"',
    ...[
      "0 3",
      "-3 -1",
      "0 -1",
      "10 100",
      "5 3",
      "-1 -5",
      "-100 3",
      "-100 -50",
      "100 200",
      "0 0",
      "-1 0",
      "3 -100",
    ]
      .flatMap((range) => [`GETRANGE k ${range}`, `SUBSTR k ${range}`, `GETRANGE none ${range}`]),
    'SET k ""',
    "GETRANGE k 0 0",
  ],
  [
    "SET k foobar",
    ...[
      "",
      "0 0",
      "1 1",
      "0 -1",
      "-2 -1",
      "5 30",
      "3 1",
      "-1 -5",
      "-100 -50",
      "100 200",
      "0",
      "0 1 2 3",
    ]
      .flatMap((range) =>
        ["", " BYTE", " BIT", " bit", " FOO"].flatMap((unit) => [
          `BITCOUNT k ${range}${unit}`.trim(),
          `BITCOUNT none ${range}${unit}`.trim(),
        ])
      ),
    ...["5 30", "0 0", "7 7", "8 8", "0 47", "-1 -1", "-8 -1", "-100 -40", "1 6", "7 8", "3 20"]
      .map((range) => `BITCOUNT k ${range} BIT`),
    "BITCOUNT k x y",
    "BITCOUNT none x y",
  ],
  lines(`
    SETBIT b 7 1
    SETBIT b 7 0
    SETBIT b 100 1
    STRLEN b
    GETBIT b 100
    GETBIT b 101
    GETBIT b 10000
    GETBIT none 5
    SETBIT b -1 1
    SETBIT b 1 2
    SETBIT b 1 -1
    SETBIT b 4294967296 1
    GETBIT b -1
    GETBIT b 4294967296
    BITCOUNT b
  `),
  lines(`
    MSET a ohmytext b mynewtext
    LCS a b
    LCS a b LEN
    LCS a b IDX
    LCS a b IDX MINMATCHLEN 4
    LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN
    LCS a b IDX WITHMATCHLEN
    LCS a b IDX LEN
    LCS a b FOO
    LCS a b MINMATCHLEN
    LCS a b MINMATCHLEN x
    LCS a b MINMATCHLEN -1 IDX
    LCS a none
    LCS none a LEN
    LCS none none IDX
    LCS a a
    LCS a a IDX
    MSET a abcbdab b bdcaba
    LCS a b
    LCS a b IDX WITHMATCHLEN
    LCS b a IDX WITHMATCHLEN
    LCS b a
  `),
  lines(`
    RENAME none x
    RENAMENX none x
    RENAME none none
    SET k v EX 1000
    RENAME k l
    TTL l
    GET k
    RENAME l l
    RENAMENX l l
    SET m 1
    RENAMENX l m
    RENAME l m
    GET m
    RENAMENX m n
    GET n
    COPY n o
    TTL o
    COPY n o
    COPY n o REPLACE
    COPY none p
    COPY n n
    COPY none none
    COPY n p DB 0
    COPY n p DB 99
    COPY n p DB x
    COPY n p DB
    COPY n p FOO
    COPY n q DB 0 REPLACE
    OBJECT ENCODING n
    OBJECT ENCODING none
    SET i 12345
    OBJECT ENCODING i
    SET i 01
    OBJECT ENCODING i
    SET i ${"r".repeat(44)}
    OBJECT ENCODING i
    SET i ${"r".repeat(45)}
    OBJECT ENCODING i
    SET i -9223372036854775808
    OBJECT ENCODING i
    SET i 9223372036854775808
    OBJECT ENCODING i
  `),
  ...EXPIRES.map((name) => {
    const isDate = name.endsWith("AT");
    const unit = name.startsWith("P") ? 1_000 : 1;
    const later = (isDate ? 9_999_999_999 : 1_000_000) * unit;
    // Of two times to live only those that are far apart are compared: see TTL_MARGIN_SECONDS.
    const step = isDate ? 1 : 1_000 * unit;
    const notLater = isDate ? later : later - step;
    return [
      `${name} k ${later}`,
      "SET k v",
      `${name} k ${later}`,
      `${name} k ${later} NX`,
      `${name} k ${later + step} XX`,
      `${name} k ${later} GT`,
      `${name} k ${later + 2 * step} GT`,
      `${name} k ${later} LT`,
      `${name} k ${later + 2 * step} LT`,
      `${name} k ${later} NX XX`,
      `${name} k ${later} NX GT`,
      `${name} k ${later} GT LT`,
      `${name} k ${notLater} XX GT`,
      `${name} k ${later - 2 * step} XX LT`,
      `${name} k ${later} FOO`,
      `${name} k x FOO`,
      `${name} k 9223372036854775807`,
      `${name} k -9223372036854775808`,
      "PERSIST k",
      `${name} k ${later} XX`,
      `${name} k ${later} GT`,
      `${name} k ${later} XX LT`,
      `${name} k ${later} LT`,
      "SET k v",
      `${name} k ${later} NX`,
      `${name} none ${later} GT`,
      `${name} k -1`,
      "GET k",
      "SET k v",
      `${name} k 0`,
      "EXISTS k",
      "SET k v",
      `${name} k -1 GT`,
      `${name} k -1 NX`,
      "EXISTS k",
    ];
  }),
  lines(`
    SET k v
    EXPIREAT k 9999999999
    EXPIRETIME k
    PEXPIRETIME k
    PEXPIREAT k 9999999999499
    EXPIRETIME k
    PEXPIREAT k 9999999999500
    EXPIRETIME k
    SET k v2
    EXPIRETIME k
    EXPIREAT k 9999999999
    SET k v3 KEEPTTL
    EXPIRETIME k
    INCRBYFLOAT k 1
    GETSET k w
    EXPIRETIME k
  `),
  lines(`
    SCAN 0
    SCAN x
    SCAN 00
    SCAN 0 COUNT
    SCAN 0 COUNT 0
    SCAN 0 COUNT -1
    SCAN 0 FOO 1
    SCAN 0 MATCH
    SCAN 0 COUNT 10 MATCH
    SET only 1
    SCAN 0
    SCAN 0 MATCH on*
    SCAN 0 MATCH no*
    SCAN 0 TYPE string
    SCAN 0 TYPE list
    SCAN 0 type STRING count 100 match *ly
    KEYS o?ly
    KEYS [a-z]nly
    KEYS [^a-z]nly
    KEYS o[ln-]ly
    KEYS \\\\only
    KEYS only*
    KEYS *only
    KEYS o*n*l*y*
    KEYS [o
    KEYS on[l
    KEYS onl[\\\\y]
    KEYS only?
    KEYS ""
  `),
  lines(`
    EXEC
    DISCARD
    MULTI
    MULTI
    SET a 1
    EXEC
    MULTI
    SET a 1
    INCR a
    GET a
    PING
    ECHO hi
    EXEC
    GET a
    MULTI
    SET a 5
    DISCARD
    GET a
    MULTI
    NOSUCH
    SET a 6
    EXEC
    GET a
    MULTI
    GET
    EXEC
    MULTI
    EXEC
    MULTI
    SET a text
    INCR a
    SET b 2
    EXEC
    MGET a b
    MULTI
    WATCH a
    SET c 1
    EXEC
    MULTI
    UNWATCH
    EXEC
    MULTI
    SET a 1 EX 0
    SET a 1 FOO
    MSET a
    EXPIRE a 1 FOO
    RENAME none x
    RENAME a c
    GET c
    COPY c d
    RENAMENX c d
    MSETNX e 1 f 2
    MSETNX f 1 g 2
    MGET a c d e f g
    STRLEN d
    GETRANGE d 0 1
    DEL d e none
    EXISTS c d
    TYPE c
    EXEC
    MULTI
    HELLO x
    CLIENT GETNAME
    EXEC
  `),
  lines(`
    WATCH a b
    SET a 1
    MULTI
    SET c 1
    EXEC
    GET c
    WATCH a
    GET a
    MULTI
    SET c 2
    EXEC
    WATCH a
    SET a 2
    UNWATCH
    MULTI
    SET c 3
    EXEC
    WATCH a
    SET a 3
    MULTI
    DISCARD
    MULTI
    SET c 4
    EXEC
    WATCH none
    SET none 1
    MULTI
    EXEC
    WATCH none
    EXPIRE none 100
    MULTI
    GET none
    EXEC
    WATCH none
    DEL none
    MULTI
    PING
    EXEC
    WATCH a
    RESET
    SET a 9
    MULTI
    GET a
    EXEC
    MULTI
    RESET
    EXEC
  `),
  lines(`
    CONFIG GET save
    CONFIG GET nosuch
    CONFIG GET appendonly
    CONFIG GET databasesX
    CONFIG GET maxmemor[y]
    COMMAND COUNT x
    COMMAND INFO nosuch
    COMMAND DOCS nosuch
    COMMAND LIST FILTERBY
    COMMAND LIST FILTERBY FOO x
    COMMAND LIST FILTERBY MODULE x
    COMMAND LIST FILTERBY PATTERN getran*
    WAIT 0 0
    WAIT 0 -1
    WAIT x 0
  `),
  lines(`
    SET k "\\xff\\xf0\\x00"
    BITPOS k 0
    BITPOS k 1
    BITPOS k 1 2
    BITPOS k 0 0 0
    BITPOS k 0 0 -1
    BITPOS k 1 -1
    BITPOS k 1 8 16 BIT
    BITPOS k 0 0 11 BIT
    BITPOS k 1 2 1
    BITPOS k 2
    BITPOS k x
    BITPOS k 1 x
    BITPOS k 1 0 1 FOO
    BITPOS k 1 0 1 BIT x
    BITPOS none 0
    BITPOS none 1
    BITPOS none 0 0 -1
    SET f "\\xff\\xff"
    BITPOS f 0
    BITPOS f 0 0
    BITPOS f 0 0 -1
    BITPOS f 0 0 15 BIT
  `),
  lines(`
    MSET {x}a abcdef {x}b "\\x0f\\xf0" {x}e "" {x}d old
    EXPIRE {x}d 1000
    BITOP AND {x}d {x}a {x}b
    GET {x}d
    TTL {x}d
    BITOP OR {x}d {x}a {x}b {x}none
    GET {x}d
    BITOP XOR {x}d {x}a {x}a
    GET {x}d
    BITOP NOT {x}d {x}b
    GET {x}d
    BITOP NOT {x}d {x}a {x}b
    BITOP FOO {x}d {x}a
    BITOP AND {x}d {x}none {x}e
    EXISTS {x}d
    BITOP NOT {x}d {x}none
    BITOP AND {x}a {x}a
    GET {x}a
    MULTI
    BITOP OR {x}m {x}a {x}b
    BITFIELD {x}m SET u8 0 1
    EXEC
    GET {x}m
  `),
  lines(`
    BITFIELD k SET i8 0 100 GET i8 0 GET u4 0
    BITFIELD k INCRBY i8 0 100
    BITFIELD k OVERFLOW SAT INCRBY i8 0 -1000 GET i8 0
    BITFIELD k OVERFLOW FAIL INCRBY i8 0 -1000 GET i8 0
    BITFIELD grown OVERFLOW FAIL INCRBY u2 100 5
    STRLEN grown
    BITFIELD signs OVERFLOW SAT SET u8 7 -8 GET u8 7
    BITFIELD signs SET u8 7 -8 GET u8 7
    BITFIELD signs OVERFLOW SAT INCRBY u8 7 -300
    SETBIT same 3 1
    WATCH same
    SETBIT same 3 1
    MULTI
    GET same
    EXEC
    BITPOS k 1 x 1 x
    BITPOS k 1 1 x x
    BITPOS k 1 1 x bit
    BITFIELD k OVERFLOW FAIL SET u8 0 256 OVERFLOW WRAP SET u8 0 257 GET u8 0
    BITFIELD k SET u63 #1 9223372036854775807 GET u63 #1
    BITFIELD k SET i64 3 -5 GET i64 3 INCRBY i64 3 9223372036854775807
    BITFIELD k GET u8 1000
    STRLEN k
    GET k
    BITFIELD k GET u64 0
    BITFIELD k GET i65 0
    BITFIELD k GET i0 0
    BITFIELD k GET x8 0
    BITFIELD k GET u8 -1
    BITFIELD k GET u8 x
    BITFIELD k SET u8 0 x
    BITFIELD k SET u8 0
    BITFIELD k OVERFLOW FOO
    BITFIELD k FOO u8 0
    BITFIELD k
    BITFIELD_RO k GET u8 0 GET u8 #1
    BITFIELD_RO k SET u8 0 1
    BITFIELD_RO none GET u8 0
    BITFIELD none GET i5 0
    EXISTS none
    SET t x EX 1000
    BITFIELD t SET u8 0 65
    GET t
    TTL t
  `),
  lines(`
    ROLE
    COMMAND GETKEYS GET a
    COMMAND GETKEYS MSET a 1 b 2
    COMMAND GETKEYS DEL a b c
    COMMAND GETKEYS BITOP AND d a b
    COMMAND GETKEYS OBJECT ENCODING a
    COMMAND GETKEYS PING
    COMMAND GETKEYS NOSUCH a
    COMMAND GETKEYS GET
    OBJECT FREQ none
    OBJECT IDLETIME none
    OBJECT REFCOUNT none
    SET k v
    OBJECT FREQ k
    OBJECT IDLETIME k
    OBJECT REFCOUNT k
    MEMORY USAGE none
    MEMORY FOO
    LATENCY LATEST
    LATENCY HISTORY command
    LATENCY RESET
    LATENCY RESET command
    CONFIG RESETSTAT
    CONFIG REWRITE
    CLIENT KILL 1.2.3.4:5
    CLIENT KILL ID 999999
    CLIENT KILL ID 0
    CLIENT KILL ID x
    CLIENT KILL ADDR 1.2.3.4:5
    CLIENT KILL TYPE foo
    CLIENT KILL SKIPME foo
    CLIENT KILL FOO x
    CLIENT UNBLOCK 999999
    CLIENT UNBLOCK x
    CLIENT UNBLOCK 1 FOO
    CLIENT PAUSE
    CLIENT PAUSE x
    CLIENT PAUSE -1
    CLIENT PAUSE 9223372036854775808
    CLIENT PAUSE 1 FOO
    CLIENT PAUSE 1 WRITE x
    CLIENT UNPAUSE
    CLIENT UNPAUSE x
    CLIENT PAUSE 10000 WRITE
    GET k
    CLIENT UNPAUSE
    SET k v
    PING
  `),
  lines(`
    SUBSCRIBE a
    GET k
    PING
    PING x
    PSUBSCRIBE p*
    SUBSCRIBE a
    SSUBSCRIBE s
    SUNSUBSCRIBE s
    SUNSUBSCRIBE s
    UNSUBSCRIBE none
    UNSUBSCRIBE a
    PUNSUBSCRIBE p*
    GET k
    PUBLISH a x
    SPUBLISH a x
    PUBLISH a
    SUBSCRIBE
    PUBSUB CHANNELS
    PUBSUB CHANNELS a*
    PUBSUB CHANNELS a b
    PUBSUB NUMSUB
    PUBSUB NUMSUB a b
    PUBSUB NUMPAT
    PUBSUB NUMPAT x
    PUBSUB SHARDCHANNELS
    PUBSUB SHARDNUMSUB a
    PUBSUB FOO
    UNSUBSCRIBE
    PUNSUBSCRIBE
    SUBSCRIBE b
    RESET
    GET k
    MULTI
    PUBLISH a x
    SUBSCRIBE c
    EXEC
    UNSUBSCRIBE
    PING
  `),
  lines(`
    RESTORE r 0 "\\x00\\x05\\x68\\x65\\x6c\\x6c\\x6f\\x0a\\x00\\x63\\x72\\xdf\\x76\\x65\\x34\\x20\\x0a"
    GET r
    RESTORE r 0 "\\x00\\x05\\x68\\x65\\x6c\\x6c\\x6f\\x0a\\x00\\x63\\x72\\xdf\\x76\\x65\\x34\\x20\\x0a"
    RESTORE r 2000000 "\\x00\\x05\\x68\\x65\\x6c\\x6c\\x6f\\x0a\\x00\\x63\\x72\\xdf\\x76\\x65\\x34\\x20\\x0a" REPLACE
    TTL r
    RESTORE r 9999999999999 "\\x00\\x05\\x68\\x65\\x6c\\x6c\\x6f\\x0a\\x00\\x63\\x72\\xdf\\x76\\x65\\x34\\x20\\x0a" REPLACE ABSTTL IDLETIME 5
    RESTORE r 9999999999999 "\\x00\\x05\\x68\\x65\\x6c\\x6c\\x6f\\x0a\\x00\\x63\\x72\\xdf\\x76\\x65\\x34\\x20\\x0a" REPLACE ABSTTL IDLETIME 5 FREQ 3
    RESTORE r 9999999999999 "\\x00\\x05\\x68\\x65\\x6c\\x6c\\x6f\\x0a\\x00\\x63\\x72\\xdf\\x76\\x65\\x34\\x20\\x0a" REPLACE ABSTTL IDLETIME -1
    RESTORE r 9999999999999 "\\x00\\x05\\x68\\x65\\x6c\\x6c\\x6f\\x0a\\x00\\x63\\x72\\xdf\\x76\\x65\\x34\\x20\\x0a" REPLACE ABSTTL FREQ 256
    RESTORE r 9999999999999 "\\x00\\x05\\x68\\x65\\x6c\\x6c\\x6f\\x0a\\x00\\x63\\x72\\xdf\\x76\\x65\\x34\\x20\\x0a" REPLACE ABSTTL IDLETIME x
    PEXPIRETIME r
    RESTORE r 0 "\\x00\\x05\\x68\\x65\\x6c\\x6c\\x6f\\x0a\\x00\\x63\\x72\\xdf\\x76\\x65\\x34\\x20\\x0a" REPLACE
    TTL r
    RESTORE s -1 "\\x00\\x05\\x68\\x65\\x6c\\x6c\\x6f\\x0a\\x00\\x63\\x72\\xdf\\x76\\x65\\x34\\x20\\x0a"
    RESTORE s x "\\x00\\x05\\x68\\x65\\x6c\\x6c\\x6f\\x0a\\x00\\x63\\x72\\xdf\\x76\\x65\\x34\\x20\\x0a"
    RESTORE s 0 "\\x00\\x05\\x68\\x65\\x6c\\x6c\\x6f\\x0a\\x00\\x63\\x72\\xdf\\x76\\x65\\x34\\x20\\x0a" FOO
    RESTORE s 0 "x\\x00\\x05\\x68\\x65\\x6c\\x6c\\x6f\\x0a\\x00\\x63\\x72\\xdf\\x76\\x65\\x34\\x20\\x0a"
    RESTORE s 0 ""
    RESTORE s 0 hello
    RESTORE s 1 "\\x00\\x05\\x68\\x65\\x6c\\x6c\\x6f\\x0a\\x00\\x63\\x72\\xdf\\x76\\x65\\x34\\x20\\x0a" ABSTTL
    GET s
    DUMP none
  `),
  lines(`
    SET k v EX 1000
    COPY k k
    COPY k k DB 0
    COPY k k DB 1
    COPY k k DB 1
    COPY k k DB 1 REPLACE
    COPY k other db 2 db 1 replace
    COPY k k DB 16
    COPY k k DB -1
    COPY k k DB x
    COPY k k DB 99999999999
    COPY k k DB 99999999999999999999999
    COPY k k DB
    COPY k k FOO
    COPY k k DB 1 DB 0
    COPY k k2 DB 0
    COPY none k DB 3
    SELECT 1
    MGET k other
    TTL k
    COPY k back DB 0
    COPY k k DB 1
    MOVE k 0
    MOVE k 2
    GET k
    SELECT 2
    GET k
    TTL k
    SELECT 0
    MGET k back
    MOVE k 0
    MOVE k 16
    MOVE k -1
    MOVE k x
    MOVE k 99999999999
    MOVE k 3
    MOVE k 3
    MOVE none 3
    MOVE none 0
    MOVE k 1 2
    SELECT 99999999999
    SELECT -99999999999
    SWAPDB 0 0
    SWAPDB 3 3
    SWAPDB 0 16
    SWAPDB 16 0
    SWAPDB 16 x
    SWAPDB x 0
    SWAPDB 0 x
    SWAPDB 0 99999999999
    SWAPDB 0
    MULTI
    SET k again
    COPY k k2 DB 0
    COPY k k DB x
    COPY k k DB 0
    COPY k k3 FOO
    SELECT 0
    GET k2
    EXEC
  `),
  lines(`
    SET f 0x10
    INCRBYFLOAT f 0x.8
    INCRBYFLOAT f 0x1p4
    INCRBYFLOAT f -0X1.8P1
    INCRBYFLOAT f 0x
    INCRBYFLOAT f inf
    INCRBYFLOAT none -Infinity
    SET f INF
    INCRBYFLOAT f 1
    INCRBYFLOAT f x
    INCRBYFLOAT f nan
    GET f
    NOSUCH "\\xff\\xfe" "a\\x00b" ok
    "NO\\xffSUCH"
    CLIENT "\\xff"
  `),
  lines(`
    SET zero 0
    SELECT 1
    SET one 1
    SELECT 9
    SET nine 9
    FLUSHDB
    DBSIZE
    SELECT 1
    DBSIZE
    SELECT 9
    SET nine 9
    FLUSHALL FOO
    FLUSHALL ASYNC
    DBSIZE
    SELECT 1
    DBSIZE
    SELECT 0
    DBSIZE
  `),
];

/** Bytes that no client sends; both servers must give the same answer before they close. */
export const HOSTILE_BYTES: readonly string[] = [
  "*1\r\n:1\r\n",
  "*x\r\n",
  "*1\r\n$x\r\n",
  "*1\r\n$-1\r\n",
  "*1\r\nGET\r\n",
  "*-1\r\nPING\r\n",
  "*0\r\n\r\n\r\nPING\r\n",
  'SET "a\r\n',
  "SET 'a'b c\r\n",
  'PING "\\x41\\x4"\r\n',
  "  PING   \r\n",
  "PING\n",
  "*2\r\n$4\r\nECHO\r\n$3\r\na\r\nb\r\n",
  "*01\r\n",
  "*2147483648\r\n",
  "*1\r\n$536870913\r\n",
  // Not a line that is too long: whether a server sees its end first depends on how its reads fall.
];
