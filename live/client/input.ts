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
  /** Follows a change of a textarea's default text. */
  text(el: HTMLTextAreaElement): void;
}

type Field = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;

const BUTTONS = /^(button|checkbox|color|file|image|radio|reset|submit)$/;

export function createInputPolicy(root: Element): InputPolicy {
  let composing: EventTarget | null = null;
  root.addEventListener("compositionstart", (e) => (composing = e.target));
  root.addEventListener("compositionend", () => (composing = null));
  /** What a field showed when the server's value had to wait. */
  const waiting = new WeakMap<Field, string>();

  const editing = (el: Field) =>
    !el.hasAttribute("live-force") &&
    (composing === el || (document.activeElement === el && !BUTTONS.test(el.type)));

  /** Runs now, or when the user leaves the field with nothing new in it. */
  const settle = (el: Field, run: () => void) => {
    if (!editing(el)) return run();
    if (waiting.has(el)) {
      waiting.set(el, el.value);
      return;
    }
    waiting.set(el, el.value);
    el.addEventListener("blur", () => {
      if (el.value === waiting.get(el)) follow(el);
      waiting.delete(el);
    }, { once: true });
  };

  /** Makes a field show what the server last said. */
  const follow = (el: Field) => {
    if (el instanceof HTMLSelectElement) {
      for (const o of el.options) if (o.selected !== o.defaultSelected) o.selected = o.defaultSelected;
    } else if (el.value !== el.defaultValue) {
      el.value = el.defaultValue;
    }
  };

  return {
    write(el, name, value) {
      const on = value !== null;
      if (on) el.setAttribute(name, value);
      else {
        // A modal dialog must be closed before its attribute goes, or the page stays inert.
        if (name === "open" && el instanceof HTMLDialogElement && el.open) el.close();
        el.removeAttribute(name);
      }
      if (el instanceof HTMLInputElement) {
        if (name === "value" && !BUTTONS.test(el.type)) settle(el, () => follow(el));
        if (name === "checked") el.checked = on;
      } else if (el instanceof HTMLOptionElement && name === "selected") {
        const select = el.closest("select");
        if (select) settle(select, () => (el.selected = on));
      } else if (el instanceof HTMLMediaElement && name === "muted") el.muted = on;
    },
    text: (el) => settle(el, () => follow(el)),
  };
}
