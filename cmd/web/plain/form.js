// Pushes what is typed without loading the page again.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  event.preventDefault();
  const body = new URLSearchParams(new FormData(form));
  form.reset();
  await fetch("/plain", { method: "POST", body, headers: { accept: "application/json" } });
}, true);
