// Translates the CQL libraries and answers charts with them.
//
//   node twin.mjs charts.ndjson answers.ndjson [LIBRARY]
//
// A chart is one line: {"id", "parameters": {...}, "bundle": FHIR Bundle}. An answer is one line: {"id", "answer": [...]},
// each item "CARD:indicator" or "HTTP status". Where a library is named, all its values are added.

import { createReadStream, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { SystemModelInfoProvider } from "@cqframework/cql/cql";
import {
  CqlCompilerOptions,
  CqlTranslator,
  LibraryManager,
  ModelManager,
  createLibrarySourceProvider,
  createModelInfoProvider,
  createUcumService,
  stringAsSource,
} from "@cqframework/cql/cql-to-elm";
import fhir from "cql-exec-fhir";
import cql from "cql-execution";

const LIBRARIES = ["FHIRHelpers", "RLSIronTerminology", "RLSIronFacts", "RLSIronCards", "RLSIronPlan"];
const MAIN = "RLSIronCards";
const AS_OF = cql.DateTime.parse("2026-11-22T12:00:00.000+00:00");

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const textOf = (name) => readFileSync(here(`../../cds_service/published/cql/${name}.cql`), "utf8");

/** The only units in the libraries are months, days and hours: nothing is looked up or converted. */
function calendarUnits() {
  const never = () => {
    throw new Error("no unit is converted");
  };
  return createUcumService(never, () => null, never, never);
}

/** Returns the ELM of each library by name; throws with the translator's messages. */
function translate() {
  const models = new ModelManager();
  models.modelInfoLoader.registerModelInfoProvider(new SystemModelInfoProvider());
  const entry = createRequire(import.meta.url).resolve("cql-exec-fhir");
  const model = readFileSync(new URL("modelInfos/fhir-modelinfo-4.0.1.xml", `file://${entry}`), "utf8");
  models.modelInfoLoader.registerModelInfoProvider(
    createModelInfoProvider((name) => (name === "FHIR" ? stringAsSource(model) : null)),
  );
  const manager = new LibraryManager(models, new CqlCompilerOptions(), undefined, calendarUnits());
  manager.librarySourceLoader.registerProvider(
    createLibrarySourceProvider((name) => (LIBRARIES.includes(name) ? stringAsSource(textOf(name)) : null)),
  );
  const elm = {};
  for (const name of LIBRARIES) {
    const translator = CqlTranslator.fromText(textOf(name), manager);
    const errors = translator.errors.asJsReadonlyArrayView();
    if (errors.length) {
      const at = (error) => String(error.locator ?? "");
      throw new Error(errors.map((error) => `${name}.cql ${at(error)}: ${error.message}`).join("\n"));
    }
    elm[name] = JSON.parse(translator.toJson());
  }
  return elm;
}

/** Returns the code lists as the engine wants them. */
function codeService() {
  const { version, valueSets } = JSON.parse(readFileSync(here("codes/valuesets.json"), "utf8"));
  const lists = {};
  for (const [url, bySystem] of Object.entries(valueSets)) {
    lists[url] = {
      [version]: Object.entries(bySystem).flatMap(([system, codes]) =>
        codes.map((code) => ({ code, system, version: undefined })),
      ),
    };
  }
  return new cql.CodeService(lists);
}

const [charts, answers, traced] = process.argv.slice(2);
const elm = translate();
const library = new cql.Library(elm[traced ?? MAIN], new cql.Repository(elm));
const codes = codeService();
const source = fhir.PatientSource.FHIRv401();

/** Answers one chart; throws what the engine throws, as it does for a record that is not FHIR. */
async function answer({ id, parameters, bundle }) {
  const executor = new cql.Executor(library, codes, { ...parameters, Today: cql.Date.parse(parameters.Today) });
  source.reset();
  source.loadBundles([bundle]);
  const { patientResults } = traced
    ? await executor.exec(source, AS_OF)
    : await executor.exec_expression("Answer", source, AS_OF);
  const [{ Patient: _, ...found }] = Object.values(patientResults);
  return { id, answer: found.Answer, ...(traced && { trace: found }) };
}

const lines = [];
for await (const line of createInterface({ input: createReadStream(charts) })) {
  const chart = JSON.parse(line);
  lines.push(JSON.stringify(await answer(chart).catch((error) => ({ id: chart.id, error: error.message }))));
}
writeFileSync(answers, `${lines.join("\n")}\n`);
