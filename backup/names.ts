/** Names of objects in a vault. Pure. */
import type { DataSet, Instant } from './model';

/** @param random - 6 hexadecimal digits, so that two of one second never collide. */
export const newId = (now: Instant, random: string): string =>
  `${new Date(now).toISOString().replace(/[-:]|\.\d+/g, '')}-${random}`;

const idPattern = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z(-[0-9a-f]{6})?$/;

/** @returns the moment that an id names; undefined for what is none. */
export function instantOf(id: string): Instant | undefined {
  const found = idPattern.exec(id);
  if (!found) return undefined;
  const [, year, month, day, hour, minute, second] = found;
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

const manifestFile = 'manifest.json';
export const manifestName = (company: string, dataSet: DataSet, id: string): string =>
  `${company}/${dataSet}/${id}/${manifestFile}`;
export const partName = (company: string, dataSet: DataSet, id: string, part: string): string =>
  `${company}/${dataSet}/${id}/${part}`;
/** To a millisecond: a check may be repeated at once. */
const instant = (at: Instant): string => new Date(at).toISOString().replace(/[-:.]/g, '');
export const verdictName = (company: string, dataSet: DataSet, id: string, verifiedAt: Instant): string =>
  `verdicts/${company}/${dataSet}/${id}/${instant(verifiedAt)}.json`;
export const receiptName = (company: string, label: string, at: Instant): string =>
  `receipts/${company}/${label}/${instant(at)}.json`;

const dataSetPattern =
  /^(database\/[^/]+|identity|names|state|journal|secrets|source|images|monitoring|logs|documents)$/;
export const isDataSet = (text: string): text is DataSet => dataSetPattern.test(text);

export interface ObjectPlace {
  readonly dataSet: DataSet;
  readonly id: string;
  readonly part: string;
}

/** @returns what an object of a backup is; undefined for any other object. */
export function placeOf(company: string, name: string): ObjectPlace | undefined {
  if (!name.startsWith(`${company}/`)) return undefined;
  const words = name.slice(company.length + 1).split('/');
  const at = words.findIndex((word, index) => index > 0 && idPattern.test(word));
  const dataSet = words.slice(0, at).join('/');
  const part = words.slice(at + 1).join('/');
  return at > 0 && part !== '' && isDataSet(dataSet) ? { dataSet, id: words[at]!, part } : undefined;
}

export const isManifest = ({ part }: ObjectPlace): boolean => part === manifestFile;
