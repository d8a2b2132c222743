// What the patch core is given by the program around it, see controls.ts.

import type { Instance } from "./instance";

interface Given {
  /** Makes of the server's HTML what the page lets through. */
  html(source: string): string;
  /** Sets an attribute; like is an element that the parser has made with it. */
  attribute(el: Element, name: string, value: string, like?: Element): void;
  /** Takes note of an instance's nodes. */
  enroll(inst: Instance): void;
}

export const given = {} as Given;
