// Pages that others have their hands in: each surrounding does to a page what
// translators, highlighters, extensions and scripts do, before it is adopted or
// before each patch. The page must show what a fresh one shows all the same, and
// have all that others have put beside it.

const raw = "textarea,title,style,script,option,noscript";

/** The texts of a page that somebody may see. */
function texts(root) {
  const all = [];
  const walk = (n) => {
    for (const c of childrenOf(n)) {
      if (c.nodeType === 3 && c.data.trim()) all.push(c);
      else if (c.nodeType === 1 && !matches.call(c, raw)) walk(c);
    }
  };
  walk(root);
  return all;
}

const { matches, closest } = Element.prototype;
const elements = (root) =>
  [...root.querySelectorAll("*")].filter((e) => !matches.call(e, "input,br,hr,img,iframe,mark,i[data-other]," + raw) && !closest.call(e, "[data-other]"));

/** An element of others: data-other with what it holds, a mark around what is ours. */
const other = () => Object.assign(document.createElement("i"), { textContent: "other" });
function put(how, at) {
  const e = other();
  e.dataset.other = "";
  at[how](e);
}

function wrap(n) {
  const e = document.createElement("mark");
  n.before(e);
  e.append(n);
}

const half = (n) => n.splitText(n.length >> 1);

const names = ["remove", "append", "before", "after", "replaceWith", "insertBefore", "moveBefore", "replaceChildren", "cloneNode", "contains", "matches", "closest",
  "querySelector", "querySelectorAll", "getAttribute", "setAttribute", "removeAttribute", "hasAttribute", "getAttributeNames", "getAttributeNode",
  "setAttributeNode", "attributes", "childNodes", "firstChild", "lastChild", "nextSibling", "previousSibling", "parentNode", "parentElement",
  "nodeName", "isConnected", "ownerDocument", "classList", "children"];

window.surroundings = {
  nobody() {},
  "text is split": (root) => texts(root).forEach(half),
  "text is split at its start": (root) => texts(root).forEach((n) => n.splitText(0)),
  "half a text is marked": (root) => texts(root).forEach((n) => wrap(half(n))),
  "the first half of a text is marked": (root) =>
    texts(root).forEach((n) => {
      half(n);
      wrap(n);
    }),
  "text is marked": (root) => texts(root).forEach(wrap),
  "text is made anew": (root) => texts(root).forEach((n) => n.replaceWith(new Text(n.data))),
  "text is translated": (root) => texts(root).forEach((n) => (n.data = n.data.toUpperCase())),
  "text is translated in halves": (root) =>
    texts(root).forEach((n) => {
      const rest = half(n);
      n.data = n.data.toUpperCase();
      rest.data = rest.data.toUpperCase();
    }),
  "text is translated into new elements": (root) =>
    texts(root).forEach((n) => {
      const e = document.createElement("mark");
      e.textContent = n.data.toUpperCase();
      n.replaceWith(e);
    }),
  "text is highlighted": (root) =>
    root.querySelectorAll("code").forEach((e) => {
      e.innerHTML = e.innerHTML.replace(/\w+/g, "<mark>$&</mark>");
    }),
  "text is merged": (root) => root.normalize(),
  "text is split and merged": (root) => {
    texts(root).forEach(half);
    root.normalize();
  },
  "elements are appended": (root) => elements(root).forEach((e) => put("append", e)),
  "elements are prepended": (root) => elements(root).forEach((e) => put("prepend", e)),
  "elements are put behind elements": (root) => elements(root).forEach((e) => e !== root && !e.matches("tr,td,tbody,li") && put("after", e)),
  "comments are appended": (root) => elements(root).forEach((e) => e.append(new Comment("other"))),
  "empty texts are everywhere": (root) =>
    elements(root).forEach((e) => {
      e.prepend(new Text());
      e.append(new Text());
    }),
  "elements are made anew": (root) => elements(root).forEach((e) => e.replaceWith(e.cloneNode(true))),
  "the page is made anew": (root) => {
    root.innerHTML = "<!---->" + root.innerHTML;
    root.firstChild.remove();
  },
  "elements are wrapped": (root) => elements(root).forEach((e) => e.matches("tr,td,tbody,li") || wrap(e)),
  "comments are removed": (root) => {
    const all = [];
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_COMMENT);
    while (walker.nextNode()) all.push(walker.currentNode);
    all.forEach((c) => c.remove());
  },
  "attributes are set": (root) => elements(root).forEach((e) => e.setAttribute("data-seen", "1")),
  "methods are hidden": (root) =>
    elements(root).forEach((e) => {
      if (e instanceof HTMLFormElement) return; // its fields do
      for (const name of names) Object.defineProperty(e, name, { configurable: true, get: () => "hidden" });
    }),
};

const childrenOf = (n) => Reflect.get(Node.prototype, "childNodes", n);
const within = (n) => (n instanceof HTMLTemplateElement ? n.content : n);

/** What a page shows of ours: texts joined and in small letters, as translators make them big. */
function ours(node) {
  let out = "";
  let text = "";
  const flush = () => {
    if (text) out += "\n#" + JSON.stringify(text.toLowerCase());
    text = "";
  };
  const add = (n) => {
    for (const c of childrenOf(within(n))) {
      if (c.nodeType === 3) text += c.data;
      if (c.nodeType !== 1) continue;
      const at = [...Reflect.get(Element.prototype, "attributes", c)];
      const name = Reflect.get(Element.prototype, "localName", c);
      if (at.some((a) => a.name === "data-other")) continue;
      if (name === "mark") {
        add(c);
        continue;
      }
      flush();
      const attrs = at.filter((a) => a.name !== "data-seen").map((a) => `${a.name}=${JSON.stringify(a.value)}`).sort();
      out += `\n<${name} ${attrs.join(" ")}>${ours(c).replace(/\n/g, "\n ")}`;
    }
  };
  add(node);
  flush();
  return out;
}

function freshly(html) {
  const d = document.createElement("div");
  d.innerHTML = "<!---->" + html;
  return ours(d);
}

function runSurrounding(v, surround, early) {
  const root = document.createElement("div");
  document.body.append(root);
  let repairs = 0;
  const notes = [];
  const repair = (patcher, step) => {
    repairs++;
    patcher.snapshot(JSON.parse(step.snapshot));
  };
  try {
    root.innerHTML = "<!---->" + v.marked;
    root.firstChild.remove();
    if (early) surround(root);
    const patcher = live.createPatcher(root, JSON.parse(v.manifest), { onMismatch: (why) => notes.push(why) });
    for (const [i, step] of v.steps.entries()) {
      if (i === 0) {
        if (!patcher.hydrated) repair(patcher, step);
      } else {
        if (!early) surround(root);
        try {
          if (step.patch) patcher.patch(JSON.parse(step.patch));
        } catch (e) {
          notes.push(`${e}`);
          repair(patcher, step);
        }
      }
      const got = ours(root);
      const want = freshly(step.want);
      if (got !== want) return { problem: `step ${i} (${notes}): got ${got}\nwant ${want}\nDOM ${root.outerHTML}`, repairs };
    }
    return { problem: "", repairs, others: [...root.querySelectorAll("[data-other]")].length };
  } catch (e) {
    return { problem: `${e.stack} (${notes})`, repairs };
  } finally {
    root.remove();
  }
}

window.runSurroundings = (vectors) =>
  Object.entries(window.surroundings).flatMap(([name, surround]) =>
    vectors.flatMap((v, page) => [true, false].map((early) => ({ name, page, early, ...runSurrounding(v, surround, early) }))),
  );
