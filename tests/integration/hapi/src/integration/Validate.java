package integration;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.parser.LenientErrorHandler;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.SingleValidationMessage;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.PrePopulatedValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.instance.model.api.IBaseResource;
import org.hl7.fhir.r4.model.MetadataResource;

/** Validates every JSON file of a folder as FHIR R4; prints one line for each message, its parts with tabs between. */
public final class Validate {

    public static void main(String[] arguments) throws Exception {
        FhirContext context = FhirContext.forR4();
        Map<String, String> texts = read(Path.of(arguments[0]));
        PrePopulatedValidationSupport own = new PrePopulatedValidationSupport(context);
        for (String text : texts.values()) {
            // What a reader would pass over is told by the validator.
            IBaseResource resource = context.newJsonParser()
                    .setParserErrorHandler(new LenientErrorHandler(false))
                    .parseResource(text);
            if (resource instanceof MetadataResource) {
                own.addResource(resource);
            }
        }
        ValidationSupportChain chain = new ValidationSupportChain(
                own,
                new DefaultProfileValidationSupport(context),
                new CommonCodeSystemsTerminologyService(context),
                new InMemoryTerminologyServerValidationSupport(context),
                new SnapshotGeneratingValidationSupport(context));
        FhirInstanceValidator instances = new FhirInstanceValidator(chain);
        instances.setErrorForUnknownProfiles(true);
        instances.setAnyExtensionsAllowed(false);
        FhirValidator validator = context.newValidator().registerValidatorModule(instances);
        for (Map.Entry<String, String> file : texts.entrySet()) {
            for (SingleValidationMessage one : validator.validateWithResult(file.getValue()).getMessages()) {
                System.out.println(line(file.getKey(), one));
            }
        }
        System.out.println("validated " + texts.size());
    }

    private static Map<String, String> read(Path folder) throws Exception {
        Map<String, String> texts = new TreeMap<>();
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : files.toList()) {
                texts.put(file.getFileName().toString(), Files.readString(file));
            }
        }
        return texts;
    }

    private static String line(String file, SingleValidationMessage one) {
        return Stream.of(one.getSeverity(), file, one.getLocationString(), one.getMessageId(), one.getMessage())
                .map(part -> String.valueOf(part).replaceAll("\\s+", " "))
                .reduce((left, right) -> left + "\t" + right)
                .orElseThrow();
    }

    private Validate() {}
}
