"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");
  const find = (id) => document.getElementById(id);

  // Light and dark: follows the system until the reader says otherwise.
  const recall = () => { try { return localStorage.getItem("archsmith-theme"); } catch { return null; } };
  const keep = (theme) => { try { localStorage.setItem("archsmith-theme", theme); } catch { /* private window */ } };
  const saved = recall();
  if (saved === "light" || saved === "dark") root.dataset.theme = saved;
  find("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    keep(root.dataset.theme);
  });

  // Copy the command.
  const copy = find("copy");
  if (copy) copy.addEventListener("click", async () => {
    const text = find("command").textContent;
    try { await navigator.clipboard.writeText(text); }
    catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy"; }, 1600);
  });

  // Hover texts of charts: the wide chart holds them, the narrow one shares them by trial.
  const tip = find("tip");
  const texts = new Map();
  for (const title of document.querySelectorAll(".plot svg g title, .bars title")) {
    const mark = title.parentNode;
    const text = title.textContent;
    if (mark.dataset.n !== undefined) texts.set(mark.dataset.n, text);
    else mark.tipText = text;
    title.remove();
  }
  const show = (mark) => {
    const text = mark.tipText ?? texts.get(mark.dataset.n);
    if (!text) return;
    const [first, ...rest] = text.split("\n");
    const head = document.createElement("b");
    head.textContent = first;
    tip.replaceChildren(head, ...rest.flatMap((line) => [document.createElement("br"), line]));
    tip.hidden = false;
    const at = mark.getBoundingClientRect();
    const box = tip.getBoundingClientRect();
    const left = Math.min(Math.max(8, at.left + at.width / 2 - box.width / 2), innerWidth - box.width - 8);
    const above = at.top - box.height - 10;
    tip.style.left = `${left}px`;
    tip.style.top = `${above < 4 ? at.bottom + 10 : above}px`;
  };
  const isMark = (node) => node instanceof SVGPathElement && (node.dataset.n !== undefined || node.tipText);
  document.addEventListener("pointerover", (event) => { if (isMark(event.target)) show(event.target); else tip.hidden = true; });
  document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
  document.addEventListener("click", (event) => {
    if (!isMark(event.target) || event.target.dataset.n === undefined) return;
    if (matchMedia("(hover: none)").matches) { show(event.target); return; }
    const body = find(`t${event.target.dataset.n}`);
    if (!body) return;
    body.hidden = false;
    body.querySelector("input").checked = true;
    body.scrollIntoView({ block: "center" });
  });

  // The table: a click on a row opens it, on a heading sorts, the tools filter.
  const table = find("trials");
  if (!table) return;
  const bodies = [...table.tBodies];
  table.addEventListener("click", (event) => {
    const row = event.target.closest("tbody tr:first-child");
    if (!row || event.target.tagName === "INPUT" || String(getSelection())) return;
    const box = row.querySelector("input");
    box.checked = !box.checked;
  });

  const value = (body, column) => {
    const cell = body.rows[0].cells[column];
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    const text = cell.textContent.trim();
    const number = Number(text);
    if (text === "—") return null;
    return Number.isNaN(number) ? text : number;
  };
  const heads = [...table.tHead.rows[0].cells].slice(0, -1);
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const keyed = bodies.map((body) => [value(body, column), body]);
    keyed.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
      return up ? order : -order;
    });
    table.append(...keyed.map(([, body]) => body));
  }));

  const filter = find("filter");
  const state = find("state");
  const words = new Map();
  const apply = () => {
    const wanted = filter.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const body of bodies) {
      if (wanted.length && !words.has(body)) words.set(body, body.textContent.toLowerCase().replace(/\s+/g, " "));
      const fits = (!state.value || body.dataset.s.split(" ").includes(state.value))
        && wanted.every((word) => words.get(body).includes(word));
      body.hidden = !fits;
      shown += fits;
    }
    find("shown").textContent = wanted.length || state.value ? `${shown} of ${bodies.length}` : "";
    find("empty").hidden = shown > 0;
  };
  filter.addEventListener("input", apply);
  state.addEventListener("change", apply);
})();
