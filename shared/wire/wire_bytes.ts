/** How long something is as JSON on the wire. @module */
import { Buffer } from "node:buffer";
import { wireForm } from "./wire_form.ts";

/** Bytes of the JSON text of a message, or of a part of one. */
export function wireBytes(value: object): number {
  return Buffer.byteLength(JSON.stringify(wireForm(value)));
}
