/**
 * Of an expiry as a parameter and another as a header, the header was ignored, even one that could not be
 * read; docs/http.md allows at most one. Found by a review.
 */
import { assertEquals } from "@std/assert";
import { HttpBench } from "../support/clients/http_bench.ts";

Deno.test("PUT /kv: a parameter and a header for the expiry are two", async () => {
  const statuses: number[] = [];
  const ttl = { headers: { "KV-TTL": "20" } };
  const at = { headers: { "KV-Expires-At": "1900000000000" } };
  for (
    const [query, init] of [
      ["ttl=10", ttl],
      ["expires_at=1900000000000", at],
      ["ttl=10", at],
      ["ttl_ms=10", ttl],
      ["ttl=10", { headers: { "KV-TTL": "soon" } }],
    ] as const
  ) {
    const response = await new HttpBench().ask("PUT", `/kv/k?${query}`, { body: "v", ...init });
    statuses.push(response.status);
  }
  assertEquals(statuses, [400, 400, 400, 400, 400]);
});
