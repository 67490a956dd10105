/** Which protocols a server of ours speaks; it is asked, because that depends on the version. @module */
import type { Endpoint } from "./clients/store_client.ts";

const PROBE_TIMEOUT_MS = 3_000;

/** Whether it answers `PING` as Redis does. */
export async function speaksResp({ host, port }: Endpoint): Promise<boolean> {
  const conn = await Deno.connect({ hostname: host, port });
  let open = true;
  const close = () => {
    if (open) conn.close();
    open = false;
  };
  const timer = setTimeout(close, PROBE_TIMEOUT_MS);
  try {
    await conn.write(new TextEncoder().encode("*1\r\n$4\r\nPING\r\n"));
    const buffer = new Uint8Array(64);
    const length = await conn.read(buffer) ?? 0;
    return new TextDecoder().decode(buffer.subarray(0, length)).startsWith("+PONG");
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
    close();
  }
}

/** Whether it accepts `PUT /kv/{key}`. */
export async function speaksHttp(endpoint: Endpoint | undefined): Promise<boolean> {
  if (endpoint === undefined) return false;
  try {
    const response = await fetch(`http://${endpoint.host}:${endpoint.port}/kv/probe`, {
      method: "PUT",
      body: "probe",
      signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
    });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}
