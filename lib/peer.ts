/** Optional peer dependencies: a sub-path that needs one says so where it is missing. */

/**
 * Throws, with code `MODULE_NOT_FOUND`, unless `name` can be loaded. Called by a module that comes before every other import of it.
 *
 * @param subPath - of this package, that needs it.
 * @param what - it is, in words.
 */
export function requirePeer(name: string, subPath: string, what: string): void {
  try {
    require.resolve(name);
  } catch (cause) {
    const message = `cuda-batchnorm/${subPath} needs ${what}, which was not found here. Install it beside this package: 'npm install ${name}'`;
    throw Object.assign(new Error(message, { cause }), { code: 'MODULE_NOT_FOUND' });
  }
}
