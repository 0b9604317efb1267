// Twenty clicks as twenty requests in parallel. Without this file the form sends them as one.

const TIMES = 20;
const form = document.querySelector("#twenty");

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  const counted = document.querySelector("#counted");
  button.disabled = true;
  counted.textContent = "";
  try {
    const before = (await session()).clicks ?? 0;
    const sent = Array.from({ length: TIMES }, () => answer("/api/clicks", { method: "POST" }));
    await Promise.all(sent);
    const data = await session();
    const arrived = data.clicks - before;
    show(data);
    counted.textContent =
      arrived >= TIMES
        ? `${before} + ${TIMES} = ${before + TIMES}: all ${TIMES} were counted.`
        : `${TIMES} were sent, ${arrived} were counted.`;
  } catch {
    counted.textContent = "Not every click was answered. Reload the page to see what was counted.";
  }
  button.disabled = false;
});

async function answer(address, options) {
  const response = await fetch(address, options);
  if (!response.ok) throw new Error(`${address}: ${response.status}`);
  return response.json();
}

function session() {
  return answer("/api/session");
}

// Brings the page up to date with the session. Values are set as text, never as HTML.
function show(data) {
  const keys = Object.keys(data);
  document.querySelector("#clicks").textContent = data.clicks;
  document.querySelector("#data").replaceChildren(...keys.map((key) => row(key, data[key])));
  document.querySelector("#key").replaceChildren(...keys.map((key) => new Option(key)));
}

function row(key, value) {
  const code = element("code", JSON.stringify(value));
  return element("div", element("dt", key), element("dd", code));
}

function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}
