"use strict";
// Keeps the page as the runs are: asks what of it has changed, and puts those parts in the place of the former ones. The list is
// filtered and sorted here; everything else is made by the board.

const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
const LEAST = 1500; // milliseconds between two questions
const PAGE = 100; // rows of the list that are shown at once
const rows = $("#runs") && $("#rows");
const sheet = $("#rows:not(tbody)");
const known = new Map(); // the parts as they came last, by name
let stamp = document.body.dataset.stamp;
let clock = 0; // seconds that the board's clock is ahead of this one
let asked; // the question under way
let timer; // until the next one

// ---- What has changed ------------------------------------------------------------------------------------------------------------

const made = (html) => {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content.firstElementChild;
};

// What a person has opened, chosen and scrolled stays.
const replace = (before, after) => {
  const key = (details) => $("summary", details)?.textContent.replace(/\d+/g, "");
  const were = new Map($$("details", before).map((details) => [key(details), details.open]));
  for (const details of $$("details", after)) if (were.has(key(details))) details.open = were.get(key(details));
  const scrolled = $$(".wide, pre", before).map((box) => [box.scrollLeft, box.scrollTop, atEnd(box)]);
  const box = $("input[type=checkbox]", before);
  if (box?.checked) $("input[type=checkbox]", after).checked = true;
  const focus = before.contains(document.activeElement) ? path(before, document.activeElement) : undefined;
  before.replaceWith(after);
  $$(".wide, pre", after).forEach((own, index) => {
    const [left, top, end] = scrolled[index] ?? [0, 0, true];
    own.scrollLeft = left;
    own.scrollTop = end && own.matches("pre") ? own.scrollHeight : top;
  });
  if (focus) focus.reduce((element, index) => element?.children[index], after)?.focus({ preventScroll: true });
};
const atEnd = (box) => box.scrollTop + box.clientHeight >= box.scrollHeight - 4;
const path = (top, element) => {
  const places = [];
  for (; element !== top; element = element.parentElement) places.unshift([...element.parentElement.children].indexOf(element));
  return places;
};

const forget = (element) => {
  known.delete(element.id);
  element.remove();
};

const take = ({ stamp: next, order, parts }) => {
  stamp = next;
  let changed = false;
  let added = false;
  for (const [id, html] of Object.entries(parts)) {
    if (known.get(id) === html) continue;
    known.set(id, html);
    const [before, after] = [document.getElementById(id), made(html)];
    if (before) replace(before, after);
    else if (rows && id.startsWith("r-")) rows.append(after);
    else if (sheet && id.startsWith("c-")) {
      sheet.append(after);
      added = true;
    } else ($$(".part", $("#content")).at(-1) ?? $("#content")).after(after);
    changed = true;
  }
  if (order) {
    const there = new Set(order);
    for (const row of $$("tr[id]", rows)) if (!there.has(row.id)) forget(row);
  }
  // A page that came whole says nothing of a part that is not there any more.
  if (!rows) for (const part of $$(".part")) if (!(part.id in parts)) forget(part);
  // What came anew may belong between others.
  if (added) sheet.append(...Object.keys(parts).filter((id) => id.startsWith("c-")).map((id) => document.getElementById(id)));
  if (changed || order) arrange();
  if (changed) meet();
};

const address = (fields) => {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(fields)) value === "" ? query.delete(name) : query.set(name, value);
  return `${location.pathname}?${query}`;
};

const refusals = {
  401: "The board was started anew: open the address that it printed.",
  404: "This is not there any more.",
};

const ask = async () => {
  asked?.abort();
  clearTimeout(timer);
  const own = (asked = new AbortController());
  const began = performance.now();
  const late = setTimeout(() => own.abort("late"), 30000);
  try {
    const answer = await fetch(address({ live: stamp || "0" }), { signal: own.signal });
    if (answer.status === 200) take(await answer.json());
    else if (answer.status !== 204) throw new Error(refusals[answer.status] ?? `The board answers with ${answer.status}.`);
    tell("");
  } catch (error) {
    const told = error instanceof Error && error.name === "Error" ? error.message : "The board does not answer; trying again.";
    if (own === asked) tell(told);
  } finally {
    clearTimeout(late);
  }
  // A page that takes long to make is asked for less often.
  if (own === asked) timer = setTimeout(next, Math.max(LEAST, 8 * (performance.now() - began)));
};
const next = () => (document.hidden ? document.addEventListener("visibilitychange", next, { once: true }) : ask());
const tell = (text) => {
  const place = $("#told");
  if (place.textContent !== text) place.textContent = text;
};

// ---- The list ----------------------------------------------------------------------------------------------------------------------

const filter = $("#filter");
const state = { text: "", states: new Set(), key: "", up: false, page: 0 };
let fitting = []; // the rows that fit the filter, on all pages

const arrange = () => {
  const head = $("#head");
  if (head) clock = Number(head.dataset.now) - Date.now() / 1000;
  ages();
  frames();
  if (!rows) return;
  const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  const all = $$("tr[id]", rows);
  const fits = (row) =>
    (state.states.size === 0 || state.states.has(row.dataset.state)) &&
    words.every((word) => row.dataset.text.includes(word) || row.dataset.state.includes(word));
  for (const chip of $$(".chips button")) chip.setAttribute("aria-pressed", state.states.has(chip.dataset.state));
  const head_ = state.key && $(`#runs th[data-key="${state.key}"]`);
  for (const other of $$("#runs th[aria-sort]")) other.removeAttribute("aria-sort");
  const key = state.key || "began";
  if (head_) head_.setAttribute("aria-sort", state.up ? "ascending" : "descending");
  const number = !head_ || head_.dataset.kind === "number";
  const value = (row) => (row.dataset[key] === undefined ? undefined : number ? Number(row.dataset[key]) : row.dataset[key]);
  const order = (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
    const by = (number ? x - y : x.localeCompare(y, undefined, { numeric: true })) * (state.up ? 1 : -1);
    return by || a.dataset.name.localeCompare(b.dataset.name, undefined, { numeric: true });
  };
  const sorted = [...all].sort(order);
  if (sorted.some((row, index) => row !== all[index])) {
    const focused = document.activeElement;
    rows.append(...sorted);
    if (rows.contains(focused)) focused.focus({ preventScroll: true });
  }
  fitting = sorted.filter(fits);
  $("#none").hidden = fitting.length > 0 || all.length === 0;
  const pages = Math.max(1, Math.ceil(fitting.length / PAGE));
  state.page = Math.min(state.page, pages - 1);
  const from = state.page * PAGE;
  const shown = new Set(fitting.slice(from, from + PAGE));
  for (const row of all) row.hidden = !shown.has(row);
  $("#pages").hidden = pages === 1;
  $("#pages span").textContent = `${from + 1} to ${from + shown.size} of ${fitting.length}`;
  $("#before").disabled = state.page === 0;
  $("#after").disabled = state.page === pages - 1;
  count();
};
const turn = (by) => {
  state.page += by;
  remember();
  arrange();
  $("#runs").scrollIntoView({ block: "start" });
};

const chosen = () => $$("#rows input:checked").map((box) => box.value);
const count = () => {
  const button = $("#overlay");
  if (!button) return;
  const number = chosen().length;
  button.disabled = number === 0;
  $("#chosen").textContent = number ? `${number} chosen` : "";
  const those = fitting.filter((row) => $("input", row).checked).length;
  $("#all").checked = those > 0 && those === fitting.length;
  $("#all").indeterminate = those > 0 && those < fitting.length;
};
const chooseAll = () => {
  const all = fitting.some((row) => !$("input", row).checked);
  for (const row of fitting) $("input", row).checked = all;
  count();
};
const lay = () => {
  const query = new URLSearchParams(chosen().map((name) => ["run", name]));
  if (query.size) location.href = `/overlay?${query}`;
};

// What is shown survives a reload and can be sent to somebody.
const remember = () => {
  const fields = new URLSearchParams();
  if (state.text) fields.set("filter", state.text);
  for (const name of state.states) fields.append("state", name);
  if (state.key) fields.set("sort", (state.up ? "" : "-") + state.key);
  if (state.page) fields.set("page", state.page + 1);
  history.replaceState(null, "", `${location.pathname}${location.search}${fields.size ? `#${fields}` : ""}`);
};

if (filter) {
  const fields = new URLSearchParams(location.hash.slice(1));
  state.text = filter.elements.text.value = fields.get("filter") ?? "";
  state.states = new Set(fields.getAll("state"));
  const sort = fields.get("sort") ?? "";
  [state.key, state.up] = [sort.replace(/^-/, ""), sort !== "" && !sort.startsWith("-")];
  state.page = Math.max(0, (Number.parseInt(fields.get("page"), 10) || 1) - 1);
  filter.addEventListener("submit", (event) => event.preventDefault());
  filter.elements.text.addEventListener("input", () => {
    state.text = filter.elements.text.value;
    state.page = 0;
    remember();
    arrange();
  });
  filter.elements.cells.addEventListener("change", (event) => {
    location.href = address({ cells: event.target.checked ? "1" : "" }) + location.hash;
  });
  $("#overlay").addEventListener("click", lay);
  $("#all").addEventListener("change", chooseAll);
  $("#before").addEventListener("click", () => turn(-1));
  $("#after").addEventListener("click", () => turn(1));
  rows.addEventListener("change", count);
  document.addEventListener("click", (event) => {
    const chip = event.target.closest(".chips button");
    if (chip) {
      const name = chip.dataset.state;
      state.states.has(name) ? state.states.delete(name) : state.states.add(name);
    }
    const button = event.target.closest("#runs thead button");
    if (button) {
      const { key, kind } = button.closest("th").dataset;
      state.up = state.key === key ? !state.up : kind === "text";
      state.key = key;
    }
    if (!chip && !button) return;
    state.page = 0;
    remember();
    arrange();
  });
}

// ---- Times and charts --------------------------------------------------------------------------------------------------------------

const ages = () => {
  const now = Date.now() / 1000 + clock;
  for (const time of $$("time[data-at]")) {
    const age = Math.max(0, Math.round(now - Number(time.dataset.at)));
    time.title ||= time.textContent;
    const text =
      age < 60 ? `${age} s ago` : age < 7200 ? `${Math.round(age / 60)} min ago` : age < 172800 ? `${Math.round(age / 3600)} h ago` : `${Math.round(age / 86400)} d ago`;
    if (time.textContent !== text) time.textContent = text;
  }
};
setInterval(ages, 1000);

// A log is read from its end.
const frames = () => {
  for (const log of $$("pre[data-end]")) {
    if (!log.dataset.seen) log.scrollTop = log.scrollHeight;
    log.dataset.seen = "1";
  }
};

// A pointer anywhere in a chart meets the nearest point of each curve, also where the chart has come anew under it.
let pointer; // where it was last
const meet = () => {
  const chart = pointer && document.elementFromPoint(pointer.x, pointer.y)?.closest("figure.chart");
  for (const other of $$("figure.chart .readout")) if (other.closest("figure") !== chart) other.remove();
  for (const point of $$(".point.met")) point.classList.remove("met");
  const svg = chart && $$("svg", chart).find((picture) => picture.getClientRects().length); // of two sizes the one that is shown
  if (!svg || !$(".point", svg)) return;
  const place = new DOMPoint(pointer.x, pointer.y).matrixTransform(svg.getScreenCTM().inverse());
  const texts = [];
  for (const curve of $$(":scope > g", svg)) {
    const points = $$(".point", curve);
    if (!points.length) continue;
    const distance = (point) => Math.abs(Number(point.getAttribute("cx")) - place.x);
    const near = points.reduce((best, point) => (distance(point) < distance(best) ? point : best));
    near.classList.add("met");
    texts.push($("title", near)?.textContent ?? "");
  }
  let readout = $(".readout", chart);
  if (!readout) {
    readout = document.createElement("p");
    readout.className = "readout";
    chart.append(readout);
  }
  readout.textContent = texts.filter(Boolean).join(" · ");
};
document.addEventListener("pointermove", (event) => {
  pointer = { x: event.clientX, y: event.clientY };
  meet();
});

const drawing = $("#drawing");
if (drawing) {
  const query = new URLSearchParams(location.search);
  drawing.elements.scale.value = query.get("scale") ?? "";
  drawing.elements.over.value = query.get("over") ?? "";
  drawing.elements.smooth.value = query.get("smooth") ?? "0";
  const metric = drawing.elements.metric;
  if (metric) metric.value = query.get("metric") ?? "";
  const share = () => {
    const value = Number(drawing.elements.smooth.value);
    drawing.elements.share.value = value ? value.toFixed(2) : "off";
  };
  share();
  drawing.addEventListener("submit", (event) => event.preventDefault());
  drawing.addEventListener("input", () => {
    share();
    const smooth = drawing.elements.smooth.value;
    const fields = { scale: drawing.elements.scale.value, over: drawing.elements.over.value, smooth: smooth === "0" ? "" : smooth };
    history.replaceState(null, "", address({ ...fields, metric: metric?.value ?? "" }));
    stamp = "0";
    ask();
  });
}

// ---- Keys ------------------------------------------------------------------------------------------------------------------------

const help = $("#help");
$("#keys").addEventListener("click", () => help.showModal());
const step = (by) => {
  const links = $$("#rows tr:not([hidden]) th a");
  if (!links.length) return;
  const at = links.findIndex((link) => link.closest("tr").contains(document.activeElement));
  const link = links[Math.min(links.length - 1, Math.max(0, at < 0 ? (by > 0 ? 0 : links.length - 1) : at + by))];
  link.focus();
  link.closest("tr").scrollIntoView({ block: "nearest" });
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  const field = event.target.closest("input:not([type=checkbox]):not([type=range]), select, textarea");
  if (field) {
    if (event.key === "Escape") field.blur();
    return;
  }
  const inRows = rows && (rows.contains(event.target) || event.target === document.body);
  const keys = {
    "?": () => help.showModal(),
    "/": () => filter?.elements.text.focus(),
    j: () => rows && step(1),
    k: () => rows && step(-1),
    ArrowDown: () => (inRows ? step(1) : false),
    ArrowUp: () => (inRows ? step(-1) : false),
    x: () => event.target.closest("#rows tr")?.querySelector("input").click(),
    a: () => rows && chooseAll(),
    o: () => rows && lay(),
    r: () => (location.href = "/"),
    l: () => {
      if (!drawing) return;
      drawing.elements.scale.value = drawing.elements.scale.value === "log" ? "" : "log";
      drawing.dispatchEvent(new Event("input"));
    },
  };
  if (!(event.key in keys)) return;
  if (keys[event.key]() !== false) event.preventDefault();
});

arrange();
timer = setTimeout(next, LEAST);
