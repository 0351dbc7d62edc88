// Shows a pair, sends what the annotator says of it, shows the next. All texts are untrusted and set by textContent alone.
"use strict";

const by = (id) => document.getElementById(id);
const KEYS = {ArrowLeft: "left", 1: "left", ArrowRight: "right", 2: "right", t: "tie", s: "skip", u: "undo", "?": "help"};
const SAID = {left: "reply 1", right: "reply 2", tie: "tie", skip: "skipped"};
const MAX_SECONDS = 86400;

let annotator = "";
let state = null;
let busy = false; // a request is on its way: what is pressed now would meet a pair that nobody has seen
let watched = 0; // ms that the pair was visible before `since`
let since = null; // when it last became visible; null while it is hidden

function startWatch() {
  watched = 0;
  since = document.hidden ? null : performance.now();
}

function seconds() {
  return Math.min(MAX_SECONDS, (watched + (since === null ? 0 : performance.now() - since)) / 1000);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden && since !== null) {
    watched += performance.now() - since;
    since = null;
  } else if (!document.hidden && since === null) {
    since = performance.now();
  }
});

async function send(path, body) {
  let response;
  try {
    response = await fetch(path, {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)});
  } catch {
    throw new Error("The server doesn’t answer. Nothing was saved; try again when it runs.");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    const error = new Error(answer.error || `The server answered ${response.status}.`);
    error.status = response.status;
    throw error;
  }
  return answer;
}

// One request at a time; what went wrong is said, and the page stays as it is.
async function ask(path, body, said) {
  if (busy) return false;
  busy = true;
  document.body.setAttribute("aria-busy", "true");
  try {
    show(await send(path, {annotator, ...body}), said);
    return true;
  } catch (error) {
    if (error.status === 409) {
      await send("/state", {annotator}).then((fresh) => show(fresh), () => undefined);
    }
    by("problem").textContent = error.message;
    return false;
  } finally {
    busy = false;
    document.body.removeAttribute("aria-busy");
  }
}

function show(next, said) {
  state = next;
  annotator = next.annotator;
  by("problem").textContent = "";
  by("name").textContent = annotator;
  const pair = next.pair;
  by("begin").hidden = true;
  by("who").hidden = by("progress").hidden = by("keys").hidden = false;
  by("pair").hidden = !pair;
  by("end").hidden = Boolean(pair);
  by("bar").max = next.total;
  by("bar").value = next.done;
  by("count").textContent = `${next.done} of ${next.total}`;
  for (const answer of ["left", "right", "tie", "skip"]) by(`do-${answer}`).disabled = !pair;
  by("do-undo").disabled = !next.can_undo;
  if (pair) {
    for (const part of ["prompt", "left", "right"]) by(part).textContent = pair[part];
    window.scrollTo(0, 0);
    startWatch();
  } else {
    finish(next);
  }
  const place = pair ? `Pair ${next.done + 1} of ${next.total}.` : "That was the last pair.";
  by("said").textContent = [said && said(next), place].filter(Boolean).join(" ");
  by(pair ? "prompt-label" : "end-label").focus({preventScroll: true});
}

function row(body, cells) {
  const line = body.insertRow();
  for (const cell of cells) line.insertCell().textContent = cell;
}

function finish({done, summary}) {
  by("thanks").textContent = `Thank you. You have judged ${done} ${done === 1 ? "pair" : "pairs"}. You can still undo.`;
  const people = by("people").tBodies[0];
  people.replaceChildren();
  for (const one of summary.annotators) row(people, [one.name, one.left, one.right, one.tie, one.skip, one.seconds.toFixed(1)]);
  const agreement = by("agreement").tBodies[0];
  agreement.replaceChildren();
  for (const {names, pairs, observed, kappa, low, high} of summary.agreement) {
    const known = kappa !== null;
    const figures = known ? [kappa.toFixed(2), `${low.toFixed(2)} … ${high.toFixed(2)}`] : ["undefined", ""];
    row(agreement, [names.join(", "), pairs, pairs ? `${Math.round(100 * observed)} %` : "", ...figures]);
  }
  by("agreement").hidden = !summary.agreement.length;
}

function act(what) {
  if (what === "help") {
    by("help").showModal();
  } else if (what === "undo") {
    if (state.can_undo) ask("/undo", {}, (next) => `Undone: ${SAID[next.undone]}.`);
  } else if (state.pair) {
    ask("/judge", {pair: state.pair.id, answer: what, seconds: seconds()}, () => `Saved: ${SAID[what]}.`);
  }
}

// The down arrow is a tie only where it has nothing to scroll.
function meant(event) {
  if (event.key === "ArrowDown") {
    const page = document.scrollingElement;
    return page.scrollHeight > page.clientHeight ? undefined : "tie";
  }
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return Object.hasOwn(KEYS, key) ? KEYS[key] : undefined;
}

document.addEventListener("keydown", (event) => {
  if (!state || by("help").open || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  const what = meant(event);
  if (!what || (!by("shortcuts").checked && what !== "help")) return;
  event.preventDefault();
  if (!event.repeat) act(what);
});

for (const what of ["left", "right", "tie", "skip", "undo", "help"]) by(`do-${what}`).addEventListener("click", () => act(what));

async function begin(name) {
  annotator = name;
  if (await ask("/state", {})) {
    const place = new URL(location.href);
    place.searchParams.set("annotator", annotator);
    history.replaceState(null, "", place);
  } else {
    by("begin").hidden = false;
    by("given").focus();
  }
}

by("begin").addEventListener("submit", (event) => {
  event.preventDefault();
  begin(by("given").value);
});

const known = new URLSearchParams(location.search).get("annotator");
by("given").value = known || "";
if (known) {
  begin(known);
} else {
  by("begin").hidden = false;
  by("given").focus();
}
