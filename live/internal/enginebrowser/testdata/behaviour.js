// What the patcher promises beyond values. Each function gets a page and the
// patches that Go made for it, and returns what went wrong.

const setUp = (v, options = {}) => {
  const root = document.createElement("div");
  document.body.append(root);
  root.innerHTML = v.marked;
  const inputs = live.createInputs(root);
  const patcher = live.createPatcher(root, JSON.parse(v.manifest), { policy: inputs, ...options });
  return { root, patcher, $: (s) => root.querySelector(s), patch: (i) => frame(inputs, () => patcher.patch(JSON.parse(v.patches[i]))) };
};

/** Applies changes as the client applies a frame: what fields show is decided at its end. */
const frame = (inputs, step) => {
  inputs.before();
  step();
  inputs.after();
};

const thrown = (run) => {
  try {
    run();
    return "";
  } catch (e) {
    return `${e}`;
  }
};

/** Turns a list around with the focus on each of its rows in turn. */
const reorder = (v, judge) => {
  for (const name of ["r9", "r1", "r2", "r3"]) {
    const { $, patch, root } = setUp(v);
    for (let i = 0; i < 5; i++) patch(i);
    const row = $(`.${name}`);
    row.focus();
    let left = 0;
    row.addEventListener("blur", () => left++);
    patch(5);
    const order = [...root.querySelectorAll(".row")].map((li) => li.dataset.key).join();
    if (order !== "3,2,1,9") return `the rows are ${order}`;
    if (document.activeElement !== row) return `the focus is lost from ${name}`;
    const bad = judge(row, left);
    if (bad) return bad;
  }
  return "";
};

window.behaviours = {
  ignored(v) {
    const { $, patch } = setUp(v);
    $(".ignored").innerHTML = "<b>mine</b>";
    patch(0);
    if ($(".ignored").innerHTML !== "<b>mine</b>") return `the content of live-ignore is ${$(".ignored").innerHTML}`;
    return $(".ignored").title === "2" ? "" : "its attributes are not patched";
  },

  forced(v) {
    const { $, patch } = setUp(v);
    $(".forced").focus();
    $(".forced").value = "typed";
    patch(0);
    return $(".forced").value === "2" ? "" : `live-force shows ${$(".forced").value}`;
  },

  composing(v) {
    const { $, patch, root } = setUp(v);
    const field = $(".plain");
    field.dispatchEvent(new CompositionEvent("compositionstart", { bubbles: true }));
    field.value = "かな";
    patch(0);
    if (field.value !== "かな") return `while composing the field shows ${field.value}`;
    field.dispatchEvent(new CompositionEvent("compositionend", { bubbles: true }));
    field.value = "x";
    root.querySelector(".plain").focus();
    return field.getAttribute("value") === "2" ? "" : "the attribute was not written";
  },

  typedOn(v) {
    const { $, patch } = setUp(v);
    const field = $(".plain");
    field.focus();
    field.value = "typed";
    patch(0);
    field.value = "typed on";
    field.dispatchEvent(new InputEvent("input", { bubbles: true }));
    field.blur();
    return field.value === "typed on" ? "" : `what was typed after the change became ${field.value}`;
  },

  hooks(v) {
    const seen = [];
    const note = (what) => (el) => seen.push(`${what} ${el.className || el.localName}`);
    const { patch } = setUp(v, { onMount: note("mount"), onUpdate: note("update"), onDestroy: note("destroy") });
    patch(0);
    patch(1);
    patch(2);
    const want = ["update count", "mount extra", "destroy extra", "mount row r9"];
    const missing = want.filter((w) => !seen.includes(w));
    return missing.length ? `no ${missing} in ${seen}` : "";
  },

  modal(v) {
    const { $, patch } = setUp(v);
    $("dialog").showModal();
    patch(0);
    return $("dialog").matches(":modal") ? "" : "the dialog closed by itself";
  },

  modalOfTheServer(v) {
    const { $, patch } = setUp(v);
    const dialog = $(".server");
    for (let i = 0; i < 4; i++) patch(i);
    if (!dialog.open) return "the dialog did not open";
    dialog.close();
    dialog.showModal();
    patch(4);
    if (dialog.open || dialog.matches(":modal")) return "the dialog is still open";
    $(".plain").focus(); // an inert page lets nothing have the focus
    return document.activeElement === $(".plain") ? "" : "the page is inert";
  },

  moved(v) {
    return reorder(v, (row, left) => (left ? `the focus left ${row.className} ${left} times` : ""));
  },

  movedTheOldWay(v) {
    const { moveBefore } = Element.prototype;
    delete Element.prototype.moveBefore;
    try {
      return reorder(v, () => "");
    } finally {
      Element.prototype.moveBefore = moveBefore;
    }
  },

  translated(v) {
    const { $, patch, patcher, root } = setUp(v);
    const text = [...$(".count").childNodes].find((n) => n.nodeType === 3);
    const font = document.createElement("font");
    font.textContent = "Anzahl: 1";
    text.replaceWith(font);
    const error = thrown(() => patch(0));
    if (error !== "Error: node expected") return `a replaced text gives ${error || "no error"}`;
    if (patcher.hydrated) return "the patcher believes in the page";
    patcher.snapshot(JSON.parse(v.snapshot));
    if (normal(root) !== full(v.plain)) return `the snapshot left ${root.innerHTML}`;
    return patcher.hydrated ? "" : "the snapshot did not repair";
  },

  nonsense(v) {
    const bad = [[99, "x"], [0, 7], [0], ["x", "y"], [0, { d: [5] }], [[]], 7, "x", null, [0, [-99]], [3, [0, [0, "x"]]]];
    for (const p of bad) {
      const { patcher, root } = setUp(v);
      const error = thrown(() => patcher.patch(p));
      if (!error !== patcher.hydrated) return `${JSON.stringify(p)} gives ${error}, adopted: ${patcher.hydrated}`;
      if (error) {
        patcher.snapshot(JSON.parse(v.snapshot));
        if (normal(root) !== full(v.plain)) return `after ${JSON.stringify(p)} the snapshot left ${root.innerHTML}`;
      }
    }
    return "";
  },

  deployed(v) {
    const { $, root } = setUp(v);
    $(".plain").value = "typed";
    $(".plain").focus();
    const kept = $(".plain");
    const next = live.createPatcher(root, JSON.parse(v.next.manifest), {});
    if (next.hydrated) return "the old page was taken for the new one";
    next.snapshot(JSON.parse(v.next.snapshot));
    if (normal(root) !== full(v.next.plain)) return `the page became ${root.innerHTML}`;
    const touched = touches(root, () => next.snapshot(JSON.parse(v.next.snapshot)));
    if (touched) return `the same snapshot again touches ${touched}`;
    if ($(".plain") !== kept || kept.value !== "typed" || document.activeElement !== kept) return "the field was lost";
    next.patch(JSON.parse(v.next.patch));
    return normal(root) === full(v.next.patched) ? "" : `after a patch ${root.innerHTML}`;
  },

  frozenIrregular(v) {
    const { $, patch, root } = setUp(v);
    $("details").open = true;
    const row = $("table").rows[1];
    patch(0);
    if (!$("details").open) return "the details closed";
    return row === $("table").rows[1] && row.isConnected ? "" : "the table's row is another one";
  },
};

window.runBehaviour = ({ name, vector }) => {
  try {
    return window.behaviours[name](vector);
  } catch (e) {
    return e.stack;
  } finally {
    document.body.replaceChildren();
  }
};
