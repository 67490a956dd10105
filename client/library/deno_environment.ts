/**
 * The environment, through Deno. A variable that the program may not read counts as not set, so that the
 * library asks for no more permissions than its user wants to give.
 *
 * @module
 */

/** A variable, or undefined if it is not set or may not be read. */
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
