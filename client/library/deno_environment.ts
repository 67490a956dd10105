/**
 * The environment, through Deno. What the program may not read counts as not there, so that the library
 * asks for no more permissions than its user wants to give.
 *
 * @module
 */

/** A variable, or undefined where it is not set or may not be read. */
export function environment(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch (error) {
    if (isDenied(error)) return undefined;
    throw error;
  }
}

function isDenied(error: unknown): boolean {
  return error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable;
}
