// The picture of shared addresses: a line for each address, a column for each alert, a dot where they meet.
//
//     const picture = new Picture(frame, readout);
//     picture.show(shared);                  // what sharedOf returns
//     picture.point({ row: 2, column: null });
//
// The frame has the focus and the keys; the drawing is an image, whose text alternative is the table below it.
// Nothing is scaled: what is too wide is scrolled in the frame.

import { drawn } from "./dom.js";
import { sharingAlerts } from "./shared.js";
import { numbersOf, plural } from "./words.js";

const MOST_ROWS = 40;
const MOST_COLUMNS = 60;
const TOP = 30, DOT = 5.5;
const NARROW = 480; // a frame in which addresses stand above their lines, not beside them
const LONGEST_LABEL = 18; // characters: an IPv4 address and a little more
const CHARACTER = 7.9;
const PADDING = 8; // of the frame, as the style sheet has it
const NOWHERE = { row: null, column: null };

const shortened = (ip) => (ip.length <= LONGEST_LABEL ? ip : `${ip.slice(0, 9)}…${ip.slice(-8)}`);

/** As wide as there is room for, but neither crowded nor scattered. */
function cellOf(columns, digits, room) {
  return Math.min(36, Math.max(14, digits * 6 + 2, Math.floor(room / columns)));
}

/** What stands beside the dots, and how high a row is; a narrow frame has it above them. */
function marginsOf(rows, isNarrow) {
  if (isNarrow) return { left: 8, right: 8, row: 42, line: 29 };
  const label = Math.max(...rows.map(({ ip }) => shortened(ip).length));
  return { left: Math.ceil(label * CHARACTER) + 18, right: 44, row: 26, line: 13 };
}

/** Sizes, and the rows and columns that are drawn. */
function layoutOf(shared, room) {
  const rows = shared.slice(0, MOST_ROWS);
  const columns = sharingAlerts(rows).slice(0, MOST_COLUMNS);
  const isNarrow = room < NARROW;
  const margins = marginsOf(rows, isNarrow);
  const { left, right, row } = margins;
  const digits = Math.max(...columns.map(({ number }) => String(number).length));
  const cell = cellOf(columns.length, digits, room - left - right);
  const width = Math.max(left + columns.length * cell + right, isNarrow ? room : 0);
  return { ...margins, rows, columns, isNarrow, cell, width, height: TOP + rows.length * row + 4 };
}

const xOf = (layout, column) => layout.left + (column + 0.5) * layout.cell;
const topOf = (layout, row) => TOP + row * layout.row;
const yOf = (layout, row) => topOf(layout, row) + layout.line;

function heading(layout, alert, column) {
  const place = { x: xOf(layout, column), y: TOP - 10, class: "heading", "data-column": column };
  return drawn("text", place, String(alert.number));
}

function dot(layout, row, column, shares) {
  const place = { cx: xOf(layout, column), cy: yOf(layout, row), r: shares ? DOT : 2, "data-column": column };
  return drawn("circle", { ...place, class: shares ? "dot" : "gap" });
}

function connection(layout, row, columns) {
  const [first, last] = [Math.min(...columns), Math.max(...columns)];
  const y = yOf(layout, row);
  return drawn("line", { class: "connection", x1: xOf(layout, first), x2: xOf(layout, last), y1: y, y2: y });
}

function labels(layout, { ip, alerts }, row) {
  const y = topOf(layout, row) + 17;
  const label = { class: layout.isNarrow ? "label above" : "label", x: layout.isNarrow ? 6 : layout.left - 12, y };
  return [
    drawn("text", label, shortened(ip), ...(layout.isNarrow ? [` (${alerts.length})`] : [])),
    ...(layout.isNarrow ? [] : [drawn("text", { class: "total", x: layout.width - 14, y }, String(alerts.length))]),
  ];
}

function stripe(layout, row) {
  return drawn("rect", { class: "stripe", x: 0, y: topOf(layout, row), width: layout.width, height: layout.row, rx: 4 });
}

function drawnRow(layout, shared, row) {
  const sharing = new Set(shared.alerts);
  const columns = layout.columns.flatMap((alert, column) => (sharing.has(alert) ? [column] : []));
  return drawn("g", { class: "row", "data-row": row },
    stripe(layout, row),
    ...labels(layout, shared, row),
    ...layout.columns.map((alert, column) => dot(layout, row, column, sharing.has(alert))),
    ...(columns.length > 1 ? [connection(layout, row, columns)] : []));
}

function nameOf(layout, shared) {
  const left = shared.length - layout.rows.length;
  const more = left > 0 ? ` ${plural(left, "more is", "more are")} in the table only.` : "";
  return `${plural(shared.length, "shared address", "shared addresses")} and the alerts they belong to.${more}`;
}

function drawing(layout, name) {
  const size = { width: layout.width, height: layout.height, viewBox: `0 0 ${layout.width} ${layout.height}` };
  return drawn("svg", { ...size, class: "picture", role: "img", "aria-label": `${name} The table below says the same.` },
    drawn("rect", { class: "column", y: 2, width: layout.cell, height: layout.height - 4, rx: 4 }),
    ...(layout.isNarrow ? [] : [drawn("text", { class: "corner", x: layout.left - 12, y: TOP - 10 }, "Alert no.")]),
    ...layout.columns.map((alert, column) => heading(layout, alert, column)),
    ...layout.rows.map((row, index) => drawnRow(layout, row, index)));
}

const within = (value, count) => (value >= 0 && value < count ? value : null);

export class Picture {
  #frame; #readout; #layout; #svg; #name = "";
  #at = NOWHERE;

  constructor(frame, readout) {
    this.#frame = frame;
    this.#readout = readout;
    frame.addEventListener("pointermove", (event) => this.point(this.#under(event)));
    frame.addEventListener("pointerleave", () => this.point(NOWHERE));
    frame.addEventListener("blur", () => this.point(NOWHERE));
    frame.addEventListener("keydown", (event) => this.#press(event));
  }

  show(shared) {
    this.#layout = layoutOf(shared, this.#frame.clientWidth - 2 * PADDING);
    this.#name = nameOf(this.#layout, shared);
    this.#svg = drawing(this.#layout, this.#name);
    this.#frame.replaceChildren(this.#svg);
    this.point(NOWHERE);
  }

  #under(event) {
    const box = this.#svg.getBoundingClientRect();
    const { left, cell, row, rows, columns } = this.#layout;
    return {
      row: within(Math.floor((event.clientY - box.top - TOP) / row), rows.length),
      column: within(Math.floor((event.clientX - box.left - left) / cell), columns.length),
    };
  }

  #press(event) {
    const { row, column } = this.#at;
    const { rows, columns } = this.#layout;
    const moved = (value, by, count) => Math.min(count - 1, Math.max(0, value === null ? 0 : value + by));
    const places = {
      ArrowDown: () => ({ row: moved(row, 1, rows.length), column: null }),
      ArrowUp: () => ({ row: moved(row, -1, rows.length), column: null }),
      ArrowRight: () => ({ row: null, column: moved(column, 1, columns.length) }),
      ArrowLeft: () => ({ row: null, column: moved(column, -1, columns.length) }),
      Escape: () => NOWHERE,
    };
    if (!Object.hasOwn(places, event.key)) return;
    event.preventDefault();
    this.point(places[event.key]());
    this.#bringIntoSight();
  }

  #bringIntoSight() {
    const { row, column } = this.#at;
    const selector = column === null ? `[data-row="${row}"] .label` : `.heading[data-column="${column}"]`;
    this.#svg.querySelector(selector)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  #isLit(row, index, at) {
    if (at.row !== null) return index === at.row;
    return at.column !== null && row.alerts.includes(this.#layout.columns[at.column]);
  }

  /** Lights one address, or one alert and its addresses; { row: null, column: null }: none. */
  point(at) {
    if (!this.#svg || (at.row === this.#at.row && at.column === this.#at.column && this.#readout.textContent)) return;
    const known = { row: at.row !== null && at.row < this.#layout.rows.length ? at.row : null, column: at.column };
    this.#at = known;
    this.#layout.rows.forEach((row, index) => {
      this.#svg.querySelector(`[data-row="${index}"]`).classList.toggle("lit", this.#isLit(row, index, known));
    });
    this.#svg.classList.toggle("pointed", known.row !== null || known.column !== null);
    this.#lightColumn(known.column);
    this.#readout.textContent = this.#words(known);
  }

  #lightColumn(column) {
    const bar = this.#svg.querySelector(".column");
    bar.classList.toggle("lit", column !== null);
    if (column !== null) bar.setAttribute("x", this.#layout.left + column * this.#layout.cell);
  }

  #words({ row, column }) {
    if (row !== null) {
      const { ip, alerts } = this.#layout.rows[row];
      return `${ip}: ${plural(alerts.length, "alert")}, ${numbersOf(alerts)}`;
    }
    if (column === null) return this.#name;
    const alert = this.#layout.columns[column];
    const ips = this.#layout.rows.filter(({ alerts }) => alerts.includes(alert)).map(({ ip }) => ip);
    return `#${alert.number} ${alert.id} shares ${ips.join(", ")}`;
  }
}
