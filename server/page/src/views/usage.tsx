// What each API key has used.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { ask } from "../api";
import { Choice, Empty, Trouble } from "../parts/common";
import { useLoaded } from "../hooks";
import type { KeyUsage } from "../shapes";
import { count } from "../words";

const DAYS = ["1", "7", "30", "90", "365"].map((value) => ({ value, label: value === "1" ? "today" : `${value} days` }));

export function Usage(): JSX.Element {
  const [days, setDays] = useState("30");
  const { value, error, again } = useLoaded(
    (signal) => ask<{ since: string; data: KeyUsage[] }>(`/v1/usage?days=${days}`, { signal }),
    [days],
  );
  const found = value?.data ?? [];
  return (
    <div class="usage">
      <h1>Usage</h1>
      <div class="filters">
        <Choice label="Of the last" value={days} options={DAYS} onChange={setDays} />
      </div>
      <Trouble error={error} again={again} />
      {value && !found.length ? <Empty>Nobody has asked anything since {value.since}.</Empty> : null}
      {found.length ? (
        <div class="scroll">
          <table class="rows">
            <caption class="fine">Since {value?.since}; the cost is the verifier's, by the prices of the settings.</caption>
            <thead>
              <tr>
                <th scope="col">Key</th>
                {["Requests", "Refused", "Tokens in", "Tokens out", "US dollars"].map((name) => (
                  <th key={name} scope="col" class="number">
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {found.map((one) => (
                <tr key={one.key ?? ""}>
                  <th scope="row">
                    {one.name ?? (one.key ? one.key : "without a key")} {one.key ? <code>{one.key}</code> : null}
                  </th>
                  <td class="number">{count(one.requests)}</td>
                  <td class="number">{count(one.refused)}</td>
                  <td class="number">{count(one.prompt_tokens)}</td>
                  <td class="number">{count(one.completion_tokens)}</td>
                  <td class="number">{one.usd === null ? "–" : one.usd.toFixed(4)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : null}
    </div>
  );
}
