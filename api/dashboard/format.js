// Numbers, sizes, times and payloads as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const SIZES = ["B", "KiB", "MiB", "GiB", "TiB"];

/** A count, with separators; a dash when it is not known. */
export function count(value) {
  return Number.isFinite(value) ? whole.format(value) : "–";
}

/** A rate or another measure in three digits: 0.25, 12.3, 4.56 k. */
export function short(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e9) return `${digits(value / 1e9)} G`;
  if (size >= 1e6) return `${digits(value / 1e6)} M`;
  if (size >= 1e4) return `${digits(value / 1e3)} k`;
  return digits(value);
}

function digits(value) {
  const size = Math.abs(value);
  if (Number.isInteger(value) || size >= 100) return whole.format(value);
  return value.toFixed(size >= 10 ? 1 : 2);
}

export function bytes(value) {
  if (!Number.isFinite(value)) return "–";
  let unit = 0;
  while (value >= 1024 && unit < SIZES.length - 1) { value /= 1024; unit += 1; }
  return `${digits(value)} ${SIZES[unit]}`;
}

export function microseconds(value) {
  if (!Number.isFinite(value)) return "–";
  return value < 1000 ? `${whole.format(value)} µs` : `${digits(value / 1000)} ms`;
}

export function milliseconds(value) {
  if (!Number.isFinite(value)) return "–";
  return value < 1000 ? `${whole.format(value)} ms` : `${digits(value / 1000)} s`;
}

/** "5 days 23 hours, 16 minutes, 3 seconds" without its zeros and its smallest parts: "5 d 23 h". */
export function uptime(text) {
  const parts = [...(text ?? "").matchAll(/(\d+) (day|hour|minute|second)/g)].filter(([, number]) => number !== "0");
  return parts.slice(0, 2).map(([, number, unit]) => `${number} ${unit[0]}`).join(" ") || (text ? "0 s" : "–");
}

/** A time as the other columns of the API write theirs, in the browser's zone. */
export function time(milliseconds) {
  if (!milliseconds) return "–";
  const at = new Date(milliseconds);
  const two = (number) => String(number).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** Number and text of a plural: "1 node", "3 nodes". */
export function plural(number, word) {
  return `${count(number)} ${word}${number === 1 ? "" : "s"}`;
}

/** The octets of a base64 text. */
export function decode(base64) {
  const binary = atob(base64);
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

/** The octets as text when they are readable text, else null. */
export function readable(octets) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(octets);
    return /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/.test(text) ? null : text;
  } catch {
    return null;
  }
}

/** Lines of sixteen octets: place, hexadecimal, and what is printable. */
export function hex(octets) {
  const lines = [];
  for (let start = 0; start < octets.length; start += 16) {
    const part = [...octets.slice(start, start + 16)];
    const codes = part.map((octet) => octet.toString(16).padStart(2, "0")).join(" ");
    const signs = part.map((octet) => (octet >= 32 && octet < 127 ? String.fromCharCode(octet) : "·")).join("");
    lines.push(`${start.toString(16).padStart(4, "0")}  ${codes.padEnd(47)}  ${signs}`);
  }
  return lines.join("\n");
}
