/**
 * The environment and small files, through Deno. What the program may not read counts as not there,
 * so that the library asks for no more permissions than its user wants to give.
 *
 * @module
 */

/** The text of a file, or undefined where there is none or it may not be read. */
export async function readTextFileIfThere(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || isDenied(error)) return undefined;
    throw error;
  }
}

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
