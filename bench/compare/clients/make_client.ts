/** Makes a client of any kind. @module */
import { denoKvClient } from "./deno_kv_client.ts";
import { etcdGrpcClient } from "./etcd_grpc_client.ts";
import { etcdHttpClient, httpClient } from "./http_clients.ts";
import { libraryClient } from "./library_client.ts";
import { natsClient } from "./nats_client.ts";
import { respClient } from "./resp_client.ts";
import type { ClientSpec, StoreClient } from "./store_client.ts";
import { wireClient } from "./wire_client.ts";

/** Connects; rejects if that fails. */
export function makeClient(spec: ClientSpec, values: readonly string[]): Promise<StoreClient> {
  switch (spec.kind) {
    case "library":
      return libraryClient(spec, values);
    case "wire":
      return wireClient(spec, values);
    case "resp":
      return respClient(spec, values);
    case "http":
      return httpClient(spec, values);
    case "etcd-grpc":
      return etcdGrpcClient(spec, values);
    case "etcd-http":
      return etcdHttpClient(spec, values);
    case "nats":
      return natsClient(spec, values);
    case "denokv-file":
      return denoKvClient(spec, values);
  }
}
