// Turning forms, fields and attributes into the data of an action.

import { attr, of } from "./dom";
import type { Data } from "./protocol";

const ACTION = "live-action";
const VALUE = "live-value-";

const empty = () => ({ __proto__: null }) as unknown as Data;

/** Repeated names become arrays, as url.Values has them. */
function add(data: Data, name: string, value: unknown): void {
  const old = data[name];
  data[name] = old === undefined ? value : [old, value].flat();
}

/** The live-value-* attributes of an element. */
export function values(el: Element | null): Data {
  const data = empty();
  for (const { name, value } of el ? of(el, "attributes") : []) {
    if (name.startsWith(VALUE)) data[name.slice(VALUE.length)] = value;
  }
  return data;
}

/** The fields of a form, files by name only. */
export function formData(form: HTMLFormElement, submitter?: HTMLElement | null): Data {
  const data = empty();
  for (const [name, value] of new FormData(form, submitter)) {
    if (name !== ACTION) add(data, name, value instanceof File ? value.name : value);
  }
  return data;
}

/** One field by its name, as its form would send it. */
export function fieldData(el: Element): Data {
  const data = empty();
  const field = el as HTMLInputElement; // or what else has a name and a value
  if (el instanceof HTMLFormElement || !field.name || field.name === ACTION || field.value === undefined) return data;
  if (el instanceof HTMLSelectElement && el.multiple) {
    data[el.name] = Array.from(el.selectedOptions, (o) => o.value);
  } else if (/^(checkbox|radio)$/.test(field.type)) {
    data[field.name] = field.checked ? field.value : "";
  } else {
    data[field.name] = field.type === "file" ? (field.files?.[0]?.name ?? "") : field.value;
  }
  return data;
}

/**
 * The action that a submission names, or "" when it is the browser's: no
 * live-action, another address or window, or files to carry.
 */
export function submitAction(form: HTMLFormElement, submitter: HTMLElement | null, page: string): string {
  const fields = new FormData(form, submitter);
  const button = submitter as HTMLButtonElement | null;
  const action = button?.name === ACTION ? button.value : fields.get(ACTION);
  const attribute = (name: string) => button?.getAttribute("form" + name) ?? attr(form, name) ?? "";
  if (typeof action !== "string" || attribute("target")) return "";
  const address = new URL(attribute("action") || page, document.baseURI);
  if (address.origin + address.pathname !== page) return "";
  for (const value of fields.values()) {
    if (value instanceof File && value.name) return "";
  }
  return action;
}
