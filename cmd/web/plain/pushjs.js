import { open } from "/push/push.js";

const list = document.querySelector("#by-pushjs");
const form = document.querySelector("#say");

open("/push", {
  actions: ["PlainSaid"],
  after: form.dataset.cursor,
  on(action, data) {
    const item = document.createElement("li");
    item.textContent = data.text;
    list.append(item);
  },
  state(now) {
    document.querySelector("#state").textContent = now;
  },
});

// Without this the form loads the page again.
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = new URLSearchParams(new FormData(form));
  form.reset();
  await fetch("/plain", { method: "POST", body, headers: { accept: "application/json" } });
});
