// What the patch core is given once by the program around it, see
// controls.ts. Alone it does without.

import { call } from "./dom";
import type { Instance } from "./instance";

export const given = {
  /** Makes of the server's HTML what the page lets through. */
  html: (source: string): string => source,
  /** Sets an attribute; like is an element that the parser has made with it. */
  attribute(el: Element, name: string, value: string, _like?: Element): void {
    call(el, "setAttribute", name, value);
  },
  /** Takes note of an instance's nodes. */
  enroll(_: Instance): void {},
};
