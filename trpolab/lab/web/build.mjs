// Builds dist/trpolab.js from src/, three.js and uPlot: `npm ci && npm run build`. Users of the package need none of it.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const here = new URL(".", import.meta.url);
const LIBRARIES = ["three", "uplot"];
const text = (name) => readFileSync(new URL(name, here), "utf8");

// What the bundle is made of; tests/lab/web/test_web.py computes the same.
const own = readdirSync(new URL("src", here)).sort().map((name) => `src/${name}`);
const hash = createHash("sha256");
for (const name of ["build.mjs", "package-lock.json", ...own]) hash.update(`${name}\0`).update(text(name));

const built = await build({
  absWorkingDir: here.pathname,
  entryPoints: ["src/index.js"],
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "eof",
  loader: { ".css": "text" },
  banner: { js: `// trpolab, built from sources ${hash.digest("hex")}\n// With parts of ${LIBRARIES.join(", ")}: see LICENSES.txt` },
  outfile: "dist/trpolab.js",
});
if (built.warnings.length) process.exit(1);

const licences = LIBRARIES.map((name) => {
  const { version } = JSON.parse(text(`node_modules/${name}/package.json`));
  return `${name} ${version}\n\n${text(`node_modules/${name}/LICENSE`).trim()}\n`;
});
writeFileSync(new URL("dist/LICENSES.txt", here), `trpolab.js holds parts of these libraries.\n\n${licences.join("\n\n")}`);
