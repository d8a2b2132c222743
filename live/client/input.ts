// The DOM's side of the input policy: how fields of a page are read, written and
// told from one another. What happens to them is decided in fields.ts.

import { attr, call, of } from "./dom";
import { isElement } from "./blocks";
import { controlled, isControl, keyed } from "./controls";
import { createFields, type Fields } from "./fields";
import { fieldData, formData, values } from "./forms";
import { given } from "./given";
import { CHANGE, INPUT, type Binding, type On, type Port, type Value } from "./port";
import type { Data } from "./protocol";
import { Queue } from "./queue";

export type Field = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;

/**
 * Writes attributes, and the properties that follow them no longer once the
 * user has acted. Only what changed on the server is ever written.
 */
export interface InputPolicy {
  /** Sets an attribute, or removes it with null. like has it as the parser makes it. */
  write(el: Element, name: string, value: string | null, like?: Element): void;
  /** Follows a change of an element's text, a textarea's default. */
  text(el: Element): void;
  /** A tree has come into the page. */
  mounted(tree: Node): void;
  /** A tree is about to leave it. */
  destroyed(tree: Node): void;
}

export interface Inputs extends InputPolicy {
  fields: Fields<Field>;
  /** All fields of the page. */
  all(): Field[];
  /** Before the changes of a frame, see Fields.arrive. */
  before(seen?: number, first?: boolean, anew?: boolean): void;
  /** Behind them. */
  after(anew?: boolean): void;
}

const FIELD = "input,select,textarea";
const isField = (n: EventTarget | null): n is Field => isElement(n as Node) && call(n as Element, "matches", FIELD);
const isBox = (el: Element): el is HTMLInputElement => el instanceof HTMLInputElement && /^(checkbox|radio)$/.test(el.type);
const isSelect = (el: Element): el is HTMLSelectElement => el instanceof HTMLSelectElement;

/** All fields of a tree. */
const fieldsOf = (tree: Element): Field[] => [...(call(tree, "querySelectorAll", FIELD) as NodeListOf<Field>)];

/** As one value: of a select the values chosen, never a position. */
const shown = (f: Field): Value =>
  isSelect(f) ? JSON.stringify(Array.from(f.selectedOptions, (o) => o.value)) : isBox(f) ? f.checked : f.type === "file" ? (f as any as HTMLInputElement).files : f.value;

function display(f: Field, v: Value): boolean {
  if (shown(f) === v) return true;
  if (isSelect(f)) {
    const want = JSON.parse(v as string) as string[];
    const options = [...f.options];
    if (!want.every((w) => options.some((o) => o.value === w))) return false;
    if (!want[0]) f.selectedIndex = want.length - 1;
    for (const o of options) if (o.selected !== want.includes(o.value)) o.selected = !o.selected;
  } else if (isBox(f)) f.checked = v as boolean;
  else if (f.type === "file") (f as any as HTMLInputElement).files = v as FileList;
  else f.value = v as string;
  return true;
}

const blank = document.createElement("form");

function fresh(f: Field): Value {
  const copy = f.cloneNode(true) as Field;
  call(blank, "replaceChildren", copy);
  call(blank, "reset");
  return shown(copy);
}

export function createInputs(root: Element, queue = new Queue(() => {})): Inputs {
  let composing: Field | null = null;
  let ticked: HTMLInputElement[] = [];
  let active: Field | null = null;
  let activeId: string | null = null;
  let caret: [number | null, number | null] = [null, null];
  let came: Node[] = [];

  const focused = (at = document.activeElement) => (isField(at) && root.contains(at) ? at : null);

  const name = (f: Field) => {
    const rows = rowsOf(f).map((n) => attr(n, "data-key") ?? attr(n, "key") ?? attr(n, "id")).join("\0");
    const { form, id } = f;
    if (!id && !f.name) return "";
    const kind = isBox(f) ? f.type + f.value : isSelect(f) || f.type === "file" ? f.type : "";
    return [!id && rows, !id && form && (attr(form, "id") || attr(form, "name")), id, f.name, kind].join("\0\0");
  };

  const bound = (f: Field, on: On): Binding | undefined => {
    const el = f.closest(`[${on}]`);
    if (!el || !root.contains(el)) return;
    const whole = el instanceof HTMLFormElement;
    const attribute = (a: string) => attr(f, a) ?? attr(el, a);
    return {
      on, whole,
      owner: el,
      about: whole ? el : f,
      act: attr(el, on)!,
      delay: Math.max(0, +attribute("live-debounce")! || 0),
      recover: attribute("live-recover") !== "no",
    };
  };

  const port: Port<Field> = {
    shown,
    fresh,
    display,
    bound,
    choice: (f) => isSelect(f) || /^(checkbox|radio|range|color|file)$/.test(f.type),
    busy: (f) => composing === f || (document.activeElement === f && !port.choice(f)),
    forced: (f) => f.hasAttribute("live-force"),
    controls: (f) => isControlled(f) || (isSelect(f) && [...f.options].some(isControlled)),
    identity(f) {
      const id = name(f);
      return id && fieldsOf(root).filter((o) => o.name === f.name && name(o) === id).length === 1 ? id : "";
    },
    dataOf({ owner, whole }, fields) {
      const names = [...new Set(Array.from(fields, (f) => f.name))];
      const form = owner as HTMLFormElement;
      const data: Data = whole ? { ...formData(form), _target: names[1] ? names : names[0] } : fieldData([...fields][0]);
      return { ...data, ...values(form) };
    },
    rivals: (f) => (f.type === "radio" ? fieldsOf(root).filter((o) => o !== f && o.type === "radio" && o.name === f.name && o.form === f.form) : []),
    later(ms, run) {
      const timer = setTimeout(run, ms);
      return () => clearTimeout(timer);
    },
    note() {
      ticked = [...root.querySelectorAll<HTMLInputElement>("input[type=radio]:checked")];
      active = focused();
      activeId = active && port.identity(active);
      const { selectionStart = null, selectionEnd = null } = (active ?? {}) as HTMLInputElement;
      caret = [selectionStart, selectionEnd];
      // A text that nobody has typed into follows its attribute, under the caret too.
      if (active && port.busy(active) && !active.validity.badInput && active.value === (active as HTMLInputElement).defaultValue) active.value += "";
    },
    restore(wrote) {
      for (const f of ticked) if (!wrote.has(f) && !f.checked) f.checked = true;
    },
  };

  const isControlled = (el: Element) => controlled.has(el);
  const fields = createFields(port, queue);

  const on = (event: string, run: (f: Field, e: Event) => void) => root.addEventListener(event, (e) => isField(e.target) && run(e.target, e));
  on("compositionstart", (f) => (composing = f));
  on("input", (f, e) => fields.edit(f, INPUT, (e as InputEvent).isComposing));
  on("change", (f) => fields.edit(f, CHANGE));
  on("compositionend", (f) => {
    composing = null;
    fields.edit(f, INPUT);
  });
  on("focusout", fields.leftBy);

  return {
    fields,
    all: () => fieldsOf(root),
    write(el, name, value, like) {
      const box = isBox(el);
      // Another name is another field, except in a row that is known by its key.
      if ((name === "name" && isField(el) && !rowsOf(el)[0]) || (name === "value" && box)) {
        fields.gone(el as Field, true);
        came.push(el);
      }
      if (value !== null) given.attribute(el, name, value, like);
      // A modal dialog must be closed before its attribute goes, or the page stays inert.
      else if (name === "open" && el instanceof HTMLDialogElement) el.close();
      else call(el, "removeAttribute", name);
      if (isControl(name)) controlled.add(el);
      if (el instanceof HTMLInputElement && name === (box ? "checked" : "value") && el.type !== "file") fields.written(el);
      else if (el instanceof HTMLOptionElement && name === "selected") {
        const select = el.closest("select");
        if (select) fields.written(select);
      } else if (el instanceof HTMLMediaElement && name === "muted") el.muted = value !== null;
    },
    text(el) {
      if (el instanceof HTMLTextAreaElement) fields.written(el);
    },
    mounted(tree) {
      came.push(tree);
    },
    destroyed(tree) {
      for (const f of fields.touched()) if (call(tree, "contains", f)) fields.gone(f);
    },
    before(seen = 0, first = false, anew = false) {
      came = [];
      fields.arrive(seen, first, anew);
    },
    after(anew = false) {
      const found = new Map<string, Field>();
      const left = active && !active.isConnected;
      if (fields.expecting() || left) {
        for (const n of came) {
          for (const f of isField(n) ? [n] : isElement(n) ? fieldsOf(n) : []) {
            const id = root.contains(f) && port.identity(f);
            if (id) found.set(id, f);
          }
        }
      }
      fields.settleAll(found, anew);
      const to = left && found.get(activeId!);
      if (to && !focused()) {
        to.focus({ preventScroll: true });
        if (caret[0] !== null) (to as HTMLInputElement).setSelectionRange(...caret);
      }
      // As in a page just loaded, unless the user is somewhere.
      const at = focused();
      if (!at || !port.busy(at)) {
        for (const n of came) {
          const eager = isElement(n) && of(n, "isConnected") && (call(n, "matches", "[autofocus]") ? n : call(n, "querySelector", "[autofocus]"));
          if (eager) return (eager as HTMLElement).focus();
        }
      }
    },
  };

  /** The rows that an element is in. */
  function rowsOf(el: Element): Element[] {
    const rows: Element[] = [];
    for (let n: Element | null = el; n && n !== root; n = of(n, "parentElement")) if (keyed.has(n) || call(n, "matches", "[data-key],[key]")) rows.push(n);
    return rows;
  }
}
