package integration;

import ca.uhn.fhir.context.FhirContext;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.function.Function;
import org.hl7.fhir.convertors.factory.VersionConvertorFactory_10_40;
import org.hl7.fhir.convertors.factory.VersionConvertorFactory_30_40;
import org.hl7.fhir.convertors.factory.VersionConvertorFactory_40_50;
import org.hl7.fhir.instance.model.api.IBaseResource;
import org.hl7.fhir.r4.model.Resource;

/** Rewrites R4 resources, one on each line of the input, in another FHIR version: {@code Convert version}. */
public final class Convert {

  private Convert() {}

  /** Prints one line for each line read: the converted resource, or {@code null} where there is none. */
  public static void main(String[] args) throws Exception {
    FhirContext source = FhirContext.forR4();
    FhirContext target = context(args[0]);
    Function<Resource, IBaseResource> convert = converter(args[0]);
    BufferedReader lines =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      System.out.println(converted(line, source, target, convert));
    }
  }

  private static String converted(
      String line,
      FhirContext source,
      FhirContext target,
      Function<Resource, IBaseResource> convert) {
    Resource resource = (Resource) source.newJsonParser().parseResource(line);
    try {
      return target.newJsonParser().encodeResourceToString(convert.apply(resource));
    } catch (RuntimeException noCounterpart) {
      System.err.println(resource.fhirType() + ": " + noCounterpart.getMessage());
      return "null";
    }
  }

  private static FhirContext context(String version) {
    return switch (version) {
      case "DSTU2" -> FhirContext.forDstu2Hl7Org();
      case "STU3" -> FhirContext.forDstu3();
      case "R5" -> FhirContext.forR5();
      default -> throw new IllegalArgumentException(version);
    };
  }

  private static Function<Resource, IBaseResource> converter(String version) {
    return switch (version) {
      case "DSTU2" -> VersionConvertorFactory_10_40::convertResource;
      case "STU3" -> VersionConvertorFactory_30_40::convertResource;
      case "R5" -> VersionConvertorFactory_40_50::convertResource;
      default -> throw new IllegalArgumentException(version);
    };
  }
}
