// Which addresses belong to more than one alert.
//
//     sharedOf(alerts)    // [{ ip: "192.0.2.1", alerts: [alert, alert] }], the most shared first

function alertsByIp(alerts) {
  const byIp = new Map();
  for (const alert of alerts) {
    for (const ip of alert.ips) byIp.set(ip, [...(byIp.get(ip) ?? []), alert]);
  }
  return byIp;
}

const inOrder = new Intl.Collator("en", { numeric: true }).compare;

export function sharedOf(alerts) {
  return [...alertsByIp(alerts)]
    .filter(([, sharing]) => sharing.length > 1)
    .map(([ip, sharing]) => ({ ip, alerts: sharing }))
    .sort((a, b) => b.alerts.length - a.alerts.length || inOrder(a.ip, b.ip));
}

/** The alerts that share something, those with the same addresses side by side. */
export function sharingAlerts(shared) {
  return [...new Set(shared.flatMap((row) => row.alerts))];
}
