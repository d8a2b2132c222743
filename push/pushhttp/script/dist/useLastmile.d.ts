import type { Options } from "./push.js";

/**
 * Reads the session's pushes while the component is mounted. The handlers of the
 * latest render are called; another base or other actions open anew.
 */
export declare function useLastmile(base: string, options: Options): void;
