/**
 * The paths that an earlier HTTP front end had, for people and scripts that know them: a key as a
 * parameter, JSON in and out. `/kv/{key}` does more.
 *
 * @module
 */
import { nodeListings } from "../../cluster/directory.ts";
import { KvError } from "../../base/errors.ts";
import { keyField } from "../../base/key_text.ts";
import type { Message } from "../../wire/messages.ts";
import { decodeValue, encodeValue, fromWireKey, valueOfReply } from "../../schema/value_codec.ts";
import { withJsonObject } from "../protocol/body.ts";
import {
  endpoint,
  json,
  READ_PARAMETERS,
  TIMEOUT,
  unexpected,
  WRITE_PARAMETERS,
} from "./endpoint.ts";
import { required, textParameter } from "../protocol/parameters.ts";
import { settingsShown } from "../../cluster/cluster_settings.ts";
import { CLUSTER, ENTRY, SET_REQUEST, WRITTEN } from "../protocol/schemas.ts";
import { quoted } from "../protocol/target.ts";

const KEY = { key: required(textParameter("The key.")) };

export const getByParameter = endpoint({
  id: "getByParameter",
  summary: "The value of a key, with version, timestamp and expiry, as JSON",
  parameters: { ...KEY, ...READ_PARAMETERS },
  responses: { 200: { description: "The key's entry.", schema: ENTRY } },
  async run({ params, services }) {
    const { key, consistency, timeout_ms } = params;
    services.checkKeyOfTarget(key);
    const request: Message<"get"> = { req_type: "get", key };
    if (consistency !== undefined) request.consistency = consistency;
    const reply = await services.demand(request, timeout_ms);
    if (reply.req_type !== "data") throw unexpected(reply);
    return json(200, {
      key,
      ...encodeValue(valueOfReply(reply)),
      version: reply.version,
      timestamp: reply.timestamp,
      ...(reply.expires_at === undefined ? {} : { expires_at: reply.expires_at }),
      ...(reply.content_type === undefined ? {} : { content_type: reply.content_type }),
    });
  },
});

export const setByBody = endpoint({
  id: "setByBody",
  summary: "Write a value",
  description: "The body is read as JSON whatever its Content-Type says, so that `curl -d` works.",
  parameters: WRITE_PARAMETERS,
  body: { contentType: "application/json", schema: SET_REQUEST },
  responses: { 200: { description: "It is written.", schema: WRITTEN } },
  run({ request, params, services }) {
    return withJsonObject(
      request,
      services.bodies,
      async (body) => {
        const put: Message<"put"> = { req_type: "put", ...entryOf(body) };
        if (params.acks !== undefined) put.acks = params.acks;
        const reply = await services.demand(put, params.timeout_ms);
        if (reply.req_type !== "ack") throw unexpected(reply);
        return json(200, { ...keyField("key", put.key), version: reply.version });
      },
      true,
    );
  },
});

/** @throws {KvError} `bad_request` */
function entryOf(body: Record<string, unknown>): { key: string; bytes: Uint8Array } {
  const { key: text, key64, value, value64, ...others } = body;
  const [other] = Object.keys(others);
  if (other !== undefined) {
    throw new KvError("bad_request", `set: there is no field ${quoted(other)}`);
  }
  const key = key64 === undefined ? text : fromWireKey({ key64 });
  if (typeof key !== "string") throw new KvError("bad_request", `set: "key" must be a string`);
  const bytes = decodeValue({
    value: textField(value, "value"),
    value64: textField(value64, "value64"),
  });
  if (bytes === undefined) throw new KvError("bad_request", `set: "value" is missing`);
  return { key, bytes };
}

function textField(value: unknown, name: string): string | undefined {
  if (value === undefined || value === null || typeof value === "string") return value ?? undefined;
  throw new KvError("bad_request", `set: "${name}" must be a string`);
}

export const deleteByParameter = endpoint({
  id: "deleteByParameter",
  summary: "Delete a key",
  parameters: { ...KEY, ...WRITE_PARAMETERS },
  responses: {
    200: { description: "It is gone; the version is the deletion's.", schema: WRITTEN },
  },
  async run({ params, services }) {
    const { key, acks, timeout_ms } = params;
    services.checkKeyOfTarget(key);
    const request: Message<"delete"> = { req_type: "delete", key };
    if (acks !== undefined) request.acks = acks;
    const reply = await services.demand(request, timeout_ms);
    if (reply.req_type !== "ack") throw unexpected(reply);
    return json(200, { ...keyField("key", key), version: reply.version });
  },
});

export const getCluster = endpoint({
  id: "getCluster",
  summary: "Which nodes are in the cluster and what each holds, as far as this process knows",
  parameters: TIMEOUT,
  responses: { 200: { description: "The cluster.", schema: CLUSTER } },
  run({ services }) {
    const map = services.site.database.map();
    if (map === undefined) {
      throw new KvError("unavailable", "this process has not joined its cluster yet");
    }
    return json(200, {
      epoch: map.epoch,
      cluster_id: map.settings.clusterId,
      ...settingsShown(map.settings),
      nodes: nodeListings(map),
    });
  },
});
