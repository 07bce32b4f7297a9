// The hands of whoever reads this page, told to the console, and a bar that says whose the robot is.
//
// Runs before the page's own scripts, so that while its reader is in charge a key means what it means to the robot.
"use strict";
(() => {
  const BEAT_MS = 50; // of whoever is in charge; the arm is held when a few are missing while hands hold something
  const IDLE_MS = 1000;
  const RETRY_MS = 500;
  const ANSWER_MS = 3000;
  const NARROW_PX = 360; // beside the panel; with less room a question stands in it
  const ELSEWHERE = 4001; // another page has come with our key: this one was copied
  const NAME = "robot_rl.name";
  const KEY = "robot_rl.tab";
  const PAD = [
    ["q", "↺"], ["w", "↑"], ["e", "↻"], ["r", "up"], ["o", "open"],
    ["a", "←"], ["s", "↓"], ["d", "→"], ["f", "down"], ["p", "close"],
    ["i", "tilt ↑"], ["k", "tilt ↓"], ["j", "tilt ←"], ["l", "tilt →"], [" ", "take over"],
  ];

  const down = new Map(); // key by physical key or pad button, by the time of its going down
  const pointers = new Set(); // fingers and mouse buttons
  let socket = null;
  let keys = {}; // that the console wants, and what each does
  let bar = null; // what the console wants to be shown
  let said = null; // the number of the page as the console knows it
  let known = false; // there has been a line to the console
  let number = 0;
  let beatAt = 0;

  const clock = (event) => performance.timeOrigin + (event ? event.timeStamp : performance.now());
  const inCharge = () => Boolean(bar && bar.you);
  const holding = () => down.size > 0 || pointers.size > 0;
  const say = (message) => {
    if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  };

  // --- the line to the console ---

  const newKey = () => {
    const key = Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
    sessionStorage.setItem(KEY, key);
    return key;
  };

  const connect = () => {
    socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/operator");
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data);
      if (message.kind === "welcome") keys = message.keys;
      const before = inCharge();
      if (message.kind === "bar") bar = message;
      if (before && !inCharge()) letGo();
      known = true;
      draw();
    };
    socket.onclose = (event) => {
      if (event.code === ELSEWHERE) newKey();
      socket = bar = said = null;
      number = 0;
      letGo();
      draw();
      setTimeout(connect, RETRY_MS);
    };
  };

  const hello = () => {
    const mark = document.querySelector("[data-rrl-client]");
    const client = mark ? Number(mark.dataset.rrlClient) : NaN;
    if (!Number.isInteger(client) || client === said || !socket || socket.readyState !== WebSocket.OPEN) return;
    letGo();
    said = client;
    const key = sessionStorage.getItem(KEY) || newKey();
    say({ kind: "hello", client, name: localStorage.getItem(NAME) || "", key });
  };

  const hands = (event) => {
    if (said === null) return;
    beatAt = performance.now();
    const pointer = pointers.size > 0;
    say({ kind: "hands", number: number++, keys: [...new Set(down.values())], pointer, at_ms: clock(event) });
  };

  setInterval(() => {
    hello();
    fitQuestion();
    if (performance.now() - beatAt >= (inCharge() ? BEAT_MS : IDLE_MS) - 5) hands();
  }, BEAT_MS);

  // --- hands ---

  const press = (id, key, event) => {
    if (down.has(id)) return;
    down.set(id, key);
    hands(event);
  };

  const release = (id, event) => {
    if (down.delete(id)) hands(event);
    return true;
  };

  const letGo = () => {
    const held = holding();
    down.clear();
    pointers.clear();
    if (held) hands();
  };

  const isTyping = () => {
    let at = document.activeElement;
    while (at && at.shadowRoot && at.shadowRoot.activeElement) at = at.shadowRoot.activeElement;
    if (!at) return false;
    const silent = ["button", "checkbox", "radio", "range", "color", "file", "submit", "reset", "image"];
    return at.isContentEditable || at.tagName === "TEXTAREA" || at.tagName === "SELECT"
      || (at.tagName === "INPUT" && !silent.includes(at.type));
  };

  const swallow = (event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
  };

  const onKeyDown = (event) => {
    if (!inCharge() || isTyping()) return;
    if (event.metaKey || event.altKey) return letGo(); // these hide the going up of others
    if (!event.ctrlKey && answerByKey(event)) return;
    const key = (event.ctrlKey ? "ctrl-" : "") + event.key.toLowerCase();
    if (!(key in keys)) {
      if (event.ctrlKey && event.key.toLowerCase() === "k") swallow(event); // the page's command palette
      return;
    }
    swallow(event);
    if (!event.repeat) press(event.code || key, key, event);
  };

  const onKeyUp = (event) => {
    const id = event.code || event.key.toLowerCase();
    if (!down.has(id)) return;
    release(id, event);
    swallow(event);
  };

  const onPointer = (event) => {
    if (event.type === "pointerdown") pointers.add(event.pointerId);
    else pointers.delete(event.pointerId);
    if (inCharge()) hands(event);
  };

  window.addEventListener("keydown", onKeyDown, true);
  window.addEventListener("keyup", onKeyUp, true);
  for (const type of ["pointerdown", "pointerup", "pointercancel"]) window.addEventListener(type, onPointer, true);
  window.addEventListener("blur", letGo);
  window.addEventListener("focusin", () => isTyping() && letGo());
  document.addEventListener("visibilitychange", () => document.hidden && letGo());

  // --- a question, which lies over the view while its tab is open ---

  const question = () => {
    const found = document.querySelector("[data-rrl-question]");
    return found && found.getClientRects().length > 0 ? found : null;
  };

  const answer = (button) => {
    const asked = button.closest("[data-rrl-question]");
    if (!asked || !inCharge() || "rrlSaid" in asked.dataset) return;
    asked.dataset.rrlSaid = "";
    setTimeout(() => delete asked.dataset.rrlSaid, ANSWER_MS); // if it is there still, nobody has heard
    say({ kind: "act", what: `say:${asked.dataset.rrlQuestion}:${button.dataset.rrlSay}` });
  };

  const answerByKey = (event) => {
    const asked = question();
    const key = CSS.escape(event.key.toLowerCase());
    const button = asked && asked.querySelector(`[data-rrl-key="${key}"]`);
    if (!button) return false;
    swallow(event);
    if (!event.repeat) answer(button);
    return true;
  };

  const fitQuestion = () => {
    const asked = question();
    if (!asked) return;
    const left = asked.parentElement.getBoundingClientRect().left;
    document.body.style.setProperty("--rrl-panel", innerWidth - left + "px");
    asked.classList.toggle("narrow", left < NARROW_PX);
    const may = inCharge() ? "yes" : "no";
    if (asked.dataset.rrlMay !== may) asked.dataset.rrlMay = may;
  };

  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element && event.target.closest("[data-rrl-say]");
    if (button) answer(button);
  });

  // --- what is shown ---

  const style = `
    body > #root { position: fixed; inset: 0 0 var(--rrl-bar, 44px) 0; width: auto; height: auto; }
    #rrl { position: fixed; z-index: 10000; left: 0; right: 0; bottom: 0; font: 15px/1.3 system-ui, sans-serif;
      color: #e6e8ec; pointer-events: none; user-select: none; -webkit-user-select: none; }
    #rrl > div { pointer-events: auto; display: flex; flex-wrap: wrap; gap: 4px 14px; align-items: center;
      padding: 6px 12px; background: #22262e; border-top: 3px solid #6b7280; }
    #rrl[data-tone=you] > div { border-color: #34c759; }
    #rrl[data-tone=pause] > div { border-color: #f5a623; }
    #rrl[data-tone=held] > div { border-color: #ff3b30; background: #4a1512; }
    #rrl[data-tone=lost] > div { background: #b3261e; border-color: #ff8a80; }
    #rrl .state { font-weight: 600; }
    #rrl .prompt { flex: 1; color: #ffd479; }
    #rrl .prompt:not(:empty) { min-width: 240px; }
    #rrl .offers { display: flex; flex-wrap: wrap; gap: 8px; }
    #rrl button { font: inherit; color: #fff; background: #3a4150; border: 1px solid #5b6474; border-radius: 6px;
      padding: 6px 12px; cursor: pointer; touch-action: none; }
    #rrl .pad { display: none; background: none; border: 0; justify-content: start; }
    #rrl .pad.open { display: grid; grid-template-columns: repeat(5, minmax(52px, 84px)); gap: 6px; }
    #rrl .pad button { min-height: 48px; padding: 4px; opacity: 0.9; }
    #rrl .pad button.down { background: #34c759; }
    #root .rrlq { position: fixed; inset: 0 var(--rrl-panel, 368px) var(--rrl-bar, 44px) 0; height: auto;
      overflow: auto; }
    #root .rrlq.narrow { position: static; }`;
  const parts = {};
  let padOpen = matchMedia("(pointer: coarse)").matches;

  const make = (parent, tag, className, text) => {
    const element = document.createElement(tag);
    element.className = className;
    element.textContent = text || "";
    parent.append(element);
    return element;
  };

  const button = (parent, label, className, onPress) => {
    const element = make(parent, "button", className, label);
    element.type = "button";
    element.tabIndex = -1; // the space bar is the robot's
    element.addEventListener("click", onPress);
    return element;
  };

  const rename = () => {
    const name = prompt("Your name, as others see it:", bar ? bar.name : "");
    if (!name) return;
    localStorage.setItem(NAME, name);
    said = null;
    hello();
  };

  const build = () => {
    make(document.head, "style", "", style);
    const root = make(document.body, "div", "");
    root.id = "rrl";
    parts.root = root;
    parts.pad = make(root, "div", "pad");
    const line = make(root, "div", "line");
    for (const name of ["state", "who", "prompt", "offers"]) parts[name] = make(line, "span", name);
    parts.toggle = button(line, "Keys", "toggle", () => { padOpen = !padOpen; draw(); });
    parts.name = button(line, "", "name", rename);
    for (const [key, label] of PAD) {
      const element = button(parts.pad, label, "", () => {});
      element.dataset.key = key;
      const id = "pad " + key;
      const up = (event) => { element.classList.remove("down"); release(id, event); };
      element.addEventListener("pointerdown", (event) => {
        event.preventDefault();
        element.setPointerCapture(event.pointerId);
        element.classList.add("down");
        if (inCharge()) press(id, key, event);
      });
      for (const type of ["pointerup", "pointercancel", "lostpointercapture"]) element.addEventListener(type, up);
      element.addEventListener("contextmenu", swallow);
    }
    // The page ends above the bar, also where that takes two lines.
    new ResizeObserver(() => document.body.style.setProperty("--rrl-bar", line.offsetHeight + "px")).observe(line);
    draw();
  };

  const draw = () => {
    if (!parts.root) return;
    parts.root.dataset.tone = bar ? bar.tone : known ? "lost" : "calm";
    parts.state.textContent = bar ? bar.state : known ? "CONNECTION LOST" : "connecting";
    parts.who.textContent = bar ? bar.who : "";
    parts.prompt.textContent = bar ? bar.prompt : "";
    parts.name.textContent = bar ? bar.name : "";
    parts.offers.replaceChildren();
    for (const [what, label] of bar ? bar.offers : []) button(parts.offers, label, "", () => say({ kind: "act", what }));
    parts.pad.classList.toggle("open", padOpen && inCharge());
    parts.toggle.hidden = !inCharge();
    for (const element of parts.pad.children) element.title = keys[element.dataset.key] || "";
  };

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", build);
  else build();
  connect();
})();
