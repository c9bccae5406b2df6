// The model that learns while labelling: starts and stops it, and tells of its newest prediction.

/** Milliseconds between two questions to the server, while a model learns. */
const EVERY = 700;

async function ask(address, options) {
  const answer = await fetch(address, { method: "POST", ...options });
  const said = await answer.json();
  if (!answer.ok) throw new Error([said.what, said.next_step].filter(Boolean).join(" "));
  return said;
}

function words({ runs, job, fault, labels }) {
  if (!runs) return job ? "Starting…" : fault;
  if (!labels) return "Waits for a first label.";
  return `Learnt from ${labels} ${labels === 1 ? "label" : "labels"}.`;
}

/** Keeps a card up to date; `newer()` takes a newer prediction of the cell, unless it returns false. */
export function watch(card, cell, newer) {
  const [button, status] = [card.querySelector("button"), card.querySelector("[role=status]")];
  let { version } = card.dataset;
  let job = 0; // the running one
  let ran = false; // seen here: the fault of an older job is no news
  let waits = null;
  const tell = (text) => {
    status.parentElement.hidden = !text;
    if (status.textContent !== text) status.textContent = text; // it is read out
  };
  const look = async () => {
    window.clearTimeout(waits);
    try {
      const said = await ask("/api/live", { body: new URLSearchParams({ cell }) });
      job = said.job;
      ran ||= job > 0;
      button.hidden = said.runs && !job; // it was started in a terminal
      button.textContent = job ? "Stop learning" : "Learn while labelling";
      card.classList.toggle("running", said.runs);
      const isNewer = said.version && said.version !== version;
      version = said.version || version;
      const isTaken = !isNewer || await newer();
      tell(words({ ...said, fault: ran ? said.fault : "" }) + (isTaken ? "" : " “Start again” takes the newest."));
      if (!said.runs && !job) return;
    } catch (error) {
      tell(error.message);
    }
    if (!document.hidden) waits = window.setTimeout(look, EVERY);
  };
  button.addEventListener("click", async () => {
    button.disabled = true;
    const order = { headers: { "Content-Type": "application/json" }, body: JSON.stringify({ command: "live" }) };
    try {
      await (job ? ask(`/api/jobs/${job}/stop`) : ask("/api/jobs", order));
      await look();
    } catch (error) {
      tell(error.message);
    }
    button.disabled = false;
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); else window.clearTimeout(waits); });
  look();
}
