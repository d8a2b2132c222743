// Input policy: what the user is doing wins over what the server says.

/**
 * Writes attributes, and the properties that follow them no longer once the
 * user has acted. Only what changed on the server is ever written.
 *
 * A field that the user is editing keeps what it shows; it takes the server's
 * value when it is left, unless the user went on typing. live-force on the
 * field overrides that.
 */
export interface InputPolicy {
  /** Sets an attribute, or removes it with null. */
  write(el: Element, name: string, value: string | null): void;
  /** Follows a change of an element's text, a textarea's default. */
  text(el: Element): void;
}

type Field = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;

export function createInputPolicy(root: Element): InputPolicy {
  let composing: EventTarget | null = null;
  root.addEventListener("compositionstart", (e) => (composing = e.target));
  root.addEventListener("compositionend", () => (composing = null));
  /** What a field showed when the server's value had to wait. */
  const waiting = new WeakMap<Field, string>();

  /** Makes a field show what the server says, when the user is not in the way. */
  const settle = (el: Field) => {
    const editing = composing === el || document.activeElement === el;
    if (!editing || el.hasAttribute("live-force")) return follow(el);
    if (!waiting.has(el)) {
      el.addEventListener("blur", () => {
        if (el.value === waiting.get(el)) follow(el);
        waiting.delete(el);
      }, { once: true });
    }
    waiting.set(el, el.value);
  };

  return {
    write(el, name, value) {
      const on = value !== null;
      if (on) el.setAttribute(name, value);
      // A modal dialog must be closed before its attribute goes, or the page stays inert.
      else if (name === "open" && el instanceof HTMLDialogElement) el.close();
      else el.removeAttribute(name);
      if (el instanceof HTMLInputElement) {
        if (name === "checked") el.checked = on;
        if (name === "value" && el.type !== "file") settle(el);
      } else if (el instanceof HTMLOptionElement && name === "selected") {
        const select = el.closest("select");
        if (select) settle(select);
      } else if (el instanceof HTMLMediaElement && name === "muted") el.muted = on;
    },
    text(el) {
      if (el instanceof HTMLTextAreaElement) settle(el);
    },
  };
}

function follow(el: Field): void {
  if (el instanceof HTMLSelectElement) {
    for (const o of el.options) if (o.selected !== o.defaultSelected) o.selected = o.defaultSelected;
  } else if (el.value !== el.defaultValue) {
    el.value = el.defaultValue;
  }
}
