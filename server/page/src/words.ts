// How numbers, sizes and times are written. Knows no component.

export const seconds = (value: number | null | undefined): string => {
  if (value === null || value === undefined) return "–";
  return value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(value < 10 ? 2 : 1)} s`;
};

export const bytes = (value: number): string => {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`;
};

export const count = (value: number | null | undefined): string =>
  value === null || value === undefined ? "–" : value.toLocaleString("en");

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const year = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });

const isDate = (date: Date): boolean => !Number.isNaN(date.getTime());

/** In the reader's own zone, with the day where that is not today and the year where it is another. */
export const moment = (unix: number, now = Date.now()): string => {
  const [then, here] = [new Date(unix * 1000), new Date(now)];
  if (!isDate(then)) return "at no time";
  if (here.toDateString() === then.toDateString()) return clock.format(then);
  return `${(here.getFullYear() === then.getFullYear() ? day : year).format(then)}, ${clock.format(then)}`;
};

export const whole = (unix: number): string => {
  const then = new Date(unix * 1000);
  return isDate(then) ? then.toISOString() : "";
};

export const plural = (number: number, one: string, many = `${one}s`): string =>
  `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
