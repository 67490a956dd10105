/**
 * `POST /op/{operation}`: every operation of the table that HTTP offers, with its fields as a JSON
 * object and its reply as on the JSON wire. A new operation needs no code here.
 *
 * @module
 */
import type { Fields } from "../../schema/fields.ts";
import type { KeyRequest } from "../../wire/messages.ts";
import { OPERATIONS } from "../../operations/table.ts";
import { wireForm } from "../../wire/wire_form.ts";
import { withJsonObject } from "../protocol/body.ts";
import { type Endpoint, endpoint, json, type Methods } from "./endpoint.ts";
import { fieldsSchema, refuseUnknownFields } from "../protocol/field_schemas.ts";
import { replySchema } from "../protocol/schemas.ts";
import { decodeStrictly } from "../protocol/strict_request.ts";

/** The parts of a row that are needed here, whatever its kind. */
interface Row {
  readonly summary: string;
  readonly answers: string;
  readonly reply: "ack" | "data" | "result";
  readonly frontEnds: readonly string[];
  readonly fields: Fields;
}

const ROWS: Readonly<Record<string, Row>> = OPERATIONS;

/** The routes, by path. */
export function operationRoutes(): Record<string, Methods> {
  const routes: Record<string, Methods> = {};
  for (const [name, row] of Object.entries(ROWS)) {
    if (row.frontEnds.includes("http")) {
      routes[`/op/${name}`] = { POST: operationEndpoint(name, row) };
    }
  }
  return routes;
}

function operationEndpoint(name: string, row: Row): Endpoint {
  return endpoint({
    id: `op_${name}`,
    summary: row.summary,
    parameters: {},
    body: { contentType: "application/json", schema: fieldsSchema(row.fields) },
    responses: { 200: { description: row.answers, schema: replySchema(row.reply) } },
    run({ request, services }) {
      return withJsonObject(request, services.bodies, async (body) => {
        const message = operationRequest(name, row.fields, body);
        const { id: _, ...reply } = await services.demand(message, message.timeout_ms);
        return json(200, wireForm(reply));
      });
    },
  });
}

/** The request that a body asks for. @throws {KvError} `bad_request` */
function operationRequest(
  name: string,
  fields: Fields,
  body: Record<string, unknown>,
): KeyRequest {
  const request: Record<string, unknown> = { req_type: name };
  refuseUnknownFields(name, fields, Object.keys(body));
  for (const [field, value] of Object.entries(body)) {
    // JSON null stands for an absent field.
    if (value !== null) request[field] = value;
  }
  return decodeStrictly(request);
}
