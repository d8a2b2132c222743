// Named events reach the element as DOM events: this one says that pushes have
// passed which cannot be read any more.
document.querySelector("#list").addEventListener("reset", () => location.reload());
