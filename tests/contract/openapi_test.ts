/** The OpenAPI document is one, by the specification's own schema. */
import { assertEquals } from "@std/assert";
import { Validator } from "@seriousme/openapi-schema-validator";
import { openApiDocument } from "../../shared/http/endpoints/openapi.ts";
import { ROUTES } from "../../shared/http/endpoints/routes.ts";

Deno.test("openApiDocument: is valid OpenAPI 3.1", async () => {
  const document = structuredClone(openApiDocument(ROUTES)) as Record<string, unknown>;
  const validator = new Validator();
  const { valid, errors } = await validator.validate(document);
  assertEquals([valid, errors], [true, undefined]);
  assertEquals(validator.version, "3.1");
  const { valid: without } = await new Validator().validate({ ...document, info: {} });
  assertEquals(without, false);
});
