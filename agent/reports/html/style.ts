import { Markup } from './markup.ts';

/**
 * Colors after Okabe and Ito, safe for color-blind readers. Lines also differ in dash and width; bad and unknown also
 * differ from good in pattern.
 */
export const STYLE = new Markup(`<style>
:root{--bg:#fff;--fg:#1b1f24;--soft:#57606a;--rule:#d0d7de;--panel:#f6f8fa;--lane:#eaeef2;
--s1:#8250c8;--s2:#c65102;--s3:#0a66b7;--ok:#0a66b7;--below:#e08700;--bad:#b3122e;--target:#1b1f24;--gap:#afb8c1;--calm:#8c959f}
@media (prefers-color-scheme:dark){:root{--bg:#0d1117;--fg:#e6edf3;--soft:#9da7b3;--rule:#30363d;--panel:#161b22;--lane:#21262d;
--s1:#c9a4ff;--s2:#ffa657;--s3:#58b0ff;--ok:#3b9cf0;--below:#f0b429;--bad:#ff6b81;--target:#e6edf3;--gap:#8b95a1;--calm:#768390}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1120px;margin:0 auto;padding:20px 16px 60px}
h1{font-size:1.5rem;margin:0}h2{font-size:1.2rem;margin:0 0 10px}h3{font-size:1rem;margin:22px 0 0}
header p{margin:4px 0;color:var(--soft)}
header .verdict{font-size:1.05rem;font-weight:600;color:var(--fg);border-left:4px solid var(--ok);padding:8px 12px;background:var(--panel);margin-top:12px}
header .verdict.miss{border-color:var(--bad)}
.mark-ok{color:var(--ok);font-weight:700}.mark-miss{color:var(--bad);font-weight:700}
section{margin-top:34px}
.lead,.none{color:var(--soft);margin:0 0 10px}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:10px;margin-top:18px}
.card{background:var(--panel);border:1px solid var(--rule);border-radius:8px;padding:10px 12px}
.card .label{color:var(--soft);font-size:.85rem}.card .figure{font-size:1.45rem;font-weight:650;font-variant-numeric:tabular-nums}
.card .detail{font-size:.82rem;color:var(--soft)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:5px 10px 5px 0;border-bottom:1px solid var(--rule);vertical-align:top}
thead th{color:var(--soft);font-weight:500;white-space:nowrap}thead small{margin-left:4px}
td:nth-child(1),td:nth-child(2){white-space:nowrap}.num{text-align:right;white-space:nowrap}
td.miss{color:var(--bad);font-weight:600}tr.outage td{background:color-mix(in srgb,var(--bad) 12%,transparent)}
details{margin-top:12px}summary{cursor:pointer;color:var(--soft)}
.chart{margin:0;padding-bottom:20px}
figcaption{display:flex;flex-wrap:wrap;gap:2px 10px;align-items:baseline;margin-bottom:8px;font-size:.9rem}
.unit{color:var(--soft)}
.legend{display:flex;flex-wrap:wrap;gap:2px 14px;font-size:.82rem;color:var(--soft);margin-left:auto}
p.legend{margin:10px 0 0}
.legend span{display:inline-flex;align-items:center;gap:5px}
.key{width:24px;height:10px;flex:none}
.plot{position:relative;margin:0 8px 24px 52px}
.plot>svg{display:block;width:100%;height:100%;overflow:visible}
.ys span{position:absolute;right:100%;margin-right:8px;transform:translateY(-50%);font-size:.78rem;color:var(--soft);white-space:nowrap}
.xs{position:absolute;left:0;right:0;top:100%;height:22px}
.xs span{position:absolute;transform:translateX(-50%);top:4px;font-size:.78rem;color:var(--soft);white-space:nowrap}
.xs span::before{content:"";position:absolute;left:50%;top:-4px;height:4px;border-left:1px solid var(--soft)}
.grid{stroke:var(--rule);stroke-width:1;vector-effect:non-scaling-stroke;fill:none}
.line{fill:none;stroke-width:1.8;vector-effect:non-scaling-stroke;stroke-linejoin:round}
.line.s1{stroke:var(--s1);stroke-dasharray:5 3}.line.s2{stroke:var(--s2)}.line.s3{stroke:var(--s3);stroke-width:2.4}
.line.target{stroke:var(--target);stroke-width:1.2;stroke-dasharray:2 4}
.area.s3{fill:var(--s3);opacity:.18}
.fill.s2{fill:var(--s2)}.fill.bad{fill:var(--bad)}.fill.gap,.gapband{fill:var(--gap);opacity:.35}
.strips{display:grid;grid-template-columns:minmax(72px,max-content) 1fr max-content;gap:6px 12px;align-items:center;font-size:.9rem}
.strips .name{font-weight:600;overflow-wrap:anywhere}.strips .name small{display:block;color:var(--soft);font-weight:400;line-height:1}
.strips svg{display:block;width:100%;height:22px}
.strips .value{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}.strips .value small{color:var(--soft)}
.strips .xs{position:relative;top:0}
.legend svg.key{height:10px;width:24px}
.cell.met{fill:var(--ok)}.cell.below{fill:var(--below)}.cell.bad{fill:var(--bad)}.cell.gap{fill:var(--gap);opacity:.45}.cell.calm{fill:var(--calm)}
.cell.range{fill:var(--s3);opacity:.45}.mark{fill:var(--fg)}.mark.bad{fill:var(--bad)}.lane{fill:var(--lane)}
.track{height:14px;background:var(--lane);border-radius:3px;overflow:hidden}.used{height:100%}
.used.met{background:var(--ok)}.used.below{background:var(--below)}.used.bad{background:var(--bad)}
.grid2{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:0 28px}
@media (max-width:640px){.scroll table{min-width:760px}.xs .minor{display:none}.legend{margin-left:0}.strips{gap:6px 8px}.strips.budget{grid-template-columns:minmax(64px,max-content) 1fr}.strips.budget .value{grid-column:2;text-align:left}}
@media print{:root{color-scheme:light}section{break-inside:avoid}}
</style>`);
