const list = document.querySelector("#by-eventsource");
const cursor = document.querySelector("#say").dataset.cursor;
const source = new EventSource("/push/events?actions=PlainSaid&after=" + cursor);

source.addEventListener("PlainSaid", (event) => {
  const item = document.createElement("li");
  item.textContent = JSON.parse(event.data).text;
  list.append(item);
});
source.addEventListener("reset", () => location.reload());
