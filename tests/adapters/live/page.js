// Runs the script of docs/examples/logs.html without a browser: reads it from the file that is named, does what
// `scenario` says, and prints what was done: addresses opened, messages sent, what is shown, how long it waited.
"use strict";

const html = require("fs").readFileSync(process.argv[2], "utf-8");
const scenario = JSON.parse(process.argv[3]);
const script = html.match(/<script>([^]*)<\/script>/)[1];
const stored = new Map();
const done = { opened: [], sent: [], waits: [], asked: [] };
const elements = new Map();
let timers = [], sockets = [];

function element(id) {
  if (!elements.has(id)) elements.set(id, { value: "", textContent: "", dataset: {}, items: [],
    replaceChildren(...items) { this.items = items; } });
  return elements.get(id);
}

class Socket {
  constructor(url) { this.readyState = 0; done.opened.push(url); sockets.push(this); }
  send(text) { done.sent.push(JSON.parse(text)); }
  close() { this.readyState = 3; if (this.onclose) this.onclose({ code: 1000 }); }
}

function load() {
  timers = [];
  sockets = [];
  elements.clear();
  const page = {
    document: { getElementById: element, createElement: () => ({ dataset: {} }) },
    sessionStorage: { getItem: (key) => stored.get(key) ?? null, setItem: (key, text) => stored.set(key, text) },
    location: { origin: "http://callchart.test" },
    WebSocket: Socket,
    fetch: async (url, request) => {
      done.asked.push([url, JSON.parse(request.body)]);
      return { ok: true, json: async () => ({ ticket: `t${done.asked.length}` }) };
    },
    setTimeout: (call, ms) => { timers.push({ call, ms }); return timers.at(-1); },
    clearTimeout: (timer) => { timers = timers.filter((other) => other !== timer); },
    Math: { ...Object.fromEntries(Object.getOwnPropertyNames(Math).map((n) => [n, Math[n]])), random: () => 1 },
  };
  new Function(...Object.keys(page), script)(...Object.values(page));
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

const steps = {
  load,
  fill([id, value]) { element(id).value = value; },
  submit(id) { element(id).onsubmit({ preventDefault() {} }); },
  open() { const socket = sockets.at(-1); socket.readyState = 1; socket.onopen(); },
  hear(message) { sockets.at(-1).onmessage({ data: JSON.stringify(message) }); },
  drop(code) { sockets.at(-1).readyState = 3; sockets.at(-1).onclose({ code }); },
  wait() { const timer = timers.pop(); done.waits.push(timer.ms); timer.call(); },
};

(async () => {
  for (const [step, argument] of scenario) {
    steps[step](argument);
    for (let turns = 0; turns < 5; turns += 1) await settle();
  }
  done.status = element("status").textContent;
  done.state = element("state").textContent;
  done.trouble = element("trouble").textContent;
  done.transcript = element("transcript").items.map((item) => [item.dataset.role, item.textContent]);
  done.timers = timers.map((timer) => timer.ms);
  console.log(JSON.stringify(done));
})();
