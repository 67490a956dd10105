import { assertEquals, assertThrows } from "@std/assert";
import { parseEtcdAddress } from "../../../../../coordinator/register/etcd/etcd_url.ts";
import { KvError } from "../../../../../shared/base/errors.ts";

Deno.test("parseEtcdAddress: members, prefix, TLS", () => {
  assertEquals(parseEtcdAddress("etcd://10.0.0.1:2379/kv"), {
    endpoints: ["http://10.0.0.1:2379"],
    prefix: "kv",
  });
  assertEquals(parseEtcdAddress("etcds://a:2379,[::1]:2380/teams/orders/"), {
    endpoints: ["https://a:2379", "https://[::1]:2380"],
    prefix: "teams/orders",
  });
});

Deno.test("parseEtcdAddress: what is none is refused with what it is", () => {
  for (
    const text of [
      "",
      "10.0.0.1:2379/kv",
      "http://10.0.0.1:2379/kv",
      "etcd://10.0.0.1:2379",
      "etcd://10.0.0.1:2379/",
      "etcd://10.0.0.1/kv",
      "etcd://root:secret@10.0.0.1:2379/kv",
      "etcd://a:2379,/kv",
      "etcd://a:2379/a b",
    ]
  ) {
    const error = assertThrows(() => parseEtcdAddress(text), KvError);
    assertEquals(error.code, "bad_config");
  }
});
