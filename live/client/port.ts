// What the input policy needs of the page around it.

import type { Data } from "./protocol";

/** The attributes that have edits sent: while the user types, or when done. */
export const INPUT = "live-input";
export const CHANGE = "live-change";
export type On = typeof INPUT | typeof CHANGE;

/** What a field shows: comparable by ===. */
export type Value = unknown;

/** How edits of a field reach an action. */
export interface Binding {
  /** The attribute that says so. */
  on: On;
  /** What its messages are about: the form when a form has the attribute, else the field. */
  about: object;
  /** A form: its messages carry all fields of it. */
  whole: boolean;
  act: string;
  /** Milliseconds that edits have to pause. */
  delay: number;
  /** Edits are sent again to a page that has started anew. */
  recover: boolean;
  /** The element with the attribute. */
  owner: object;
}

/** The fields as the policy sees them. */
export interface Port<F extends object> {
  shown(f: F): Value;
  /** What it would show in a page just loaded. */
  fresh(f: F): Value;
  /** Makes it show a value; false when it does not offer that any more. */
  display(f: F, v: Value): boolean;
  /** Nothing is typed into it: a box, a radio, a select, a range. */
  choice(f: F): boolean;
  /** The user is in it: a text must not be written. */
  busy(f: F): boolean;
  /** The server's value wins even then. */
  forced(f: F): boolean;
  /** The template says what it shows. */
  controls(f: F): boolean;
  /** Names it in any page, "" when nothing tells it from others. */
  identity(f: F): string;
  bound(f: F, on: On): Binding | undefined;
  /** The data of a message about these fields. */
  dataOf(b: Binding, about: Set<F>): Data;
  /** Other fields that lose what they show when this one is chosen: a radio's group. */
  rivals(f: F): F[];
  later(ms: number, run: () => void): () => void;
  /** Before the changes of a frame. */
  note(): void;
  /** Behind them: ticks again what only their order has unticked. */
  restore(wrote: Set<F>): void;
}
