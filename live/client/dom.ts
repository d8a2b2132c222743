// Nodes as they are, whatever a form's fields are called: a field named "remove"
// or "attributes" hides what its form has under that name. So does a class of an
// element's own, or what a script has put on it.

const { prototype } = HTMLFormElement;

/** A property of a node. */
export const of = <N extends Node, K extends keyof N>(n: N, name: K): N[K] =>
  n instanceof Element ? Reflect.get(prototype, name, n) : n[name];

type Method<N, K extends keyof N> = NonNullable<N[K]> extends (...args: infer A) => infer R ? { args: A; result: R } : never;

/** Calls a method of a node. */
export const call = <N extends Node, K extends keyof N>(n: N, name: K, ...args: Method<N, K>["args"]): Method<N, K>["result"] =>
  (of(n, name) as unknown as (...args: unknown[]) => Method<N, K>["result"]).apply(n, args);

/** An attribute of an element. */
export const attr = (e: Element, name: string): string | null => call(e, "getAttribute", name);
