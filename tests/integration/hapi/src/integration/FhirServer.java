package integration;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings;
import ca.uhn.fhir.jpa.api.dao.IFhirSystemDao;
import ca.uhn.fhir.jpa.config.JpaDstu2Config;
import ca.uhn.fhir.jpa.config.dstu3.JpaDstu3Config;
import ca.uhn.fhir.jpa.config.r4.JpaR4Config;
import ca.uhn.fhir.jpa.config.r5.JpaR5Config;
import ca.uhn.fhir.jpa.provider.JpaCapabilityStatementProvider;
import ca.uhn.fhir.jpa.provider.JpaConformanceProviderDstu2;
import ca.uhn.fhir.jpa.provider.JpaSystemProvider;
import ca.uhn.fhir.jpa.provider.dstu3.JpaConformanceProviderDstu3;
import ca.uhn.fhir.jpa.search.DatabaseBackedPagingProvider;
import ca.uhn.fhir.rest.server.IResourceProvider;
import ca.uhn.fhir.rest.server.IServerConformanceProvider;
import ca.uhn.fhir.rest.server.RestfulServer;
import ca.uhn.fhir.rest.server.provider.ResourceProviderFactory;
import ca.uhn.fhir.rest.server.util.ISearchParamRegistry;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;

/**
 * A server of HAPI FHIR (JPA) on an H2 database in memory, for tests: {@code FhirServer [version]}.
 *
 * <p>One database stands behind several faces, each a FHIR server of its own: {@code /fhir} is as HAPI comes,
 * {@code /small} gives pages of at most three entries, {@code /sparse} does not know some resource types,
 * {@code /guarded} wants a token, {@code /slow} takes fifty milliseconds longer for each answer.
 */
public final class FhirServer {

  private static final String LOOPBACK = "127.0.0.1";
  private static final int DEFAULT_PAGE = 20;
  private static final int LARGEST_PAGE = 500;
  private static final int SMALL_PAGE = 3;

  private static final Map<String, Class<?>> VERSIONS =
      Map.of(
          "DSTU2", JpaDstu2Config.class,
          "STU3", JpaDstu3Config.class,
          "R4", JpaR4Config.class,
          "R5", JpaR5Config.class);

  private static final Set<String> NOT_ON_SPARSE =
      Set.of("MedicationStatement", "MedicationAdministration", "ServiceRequest", "Procedure");

  private final AnnotationConfigApplicationContext beans;
  private final List<Object> providers;

  private FhirServer(String version) {
    beans = new AnnotationConfigApplicationContext(VERSIONS.get(version), Storage.class);
    providers = beans.getBean(ResourceProviderFactory.class).createProviders();
  }

  /** Starts the server, prints the port it listens on, and ends when its standard input does. */
  public static void main(String[] args) throws Exception {
    FhirServer fhir = new FhirServer(args.length > 0 ? args[0] : "R4");
    Server server = new Server();
    ServerConnector connector = new ServerConnector(server);
    connector.setHost(LOOPBACK);
    server.addConnector(connector);
    server.setHandler(fhir.faces());
    server.start();
    System.out.println("listening on " + connector.getLocalPort());
    // Whoever started this process holds the other end: no server outlives its test run.
    while (System.in.read() >= 0) {}
    Runtime.getRuntime().halt(0);
  }

  private ServletContextHandler faces() {
    RestfulServer guarded = face(type -> true, LARGEST_PAGE);
    guarded.registerInterceptor(new Guard());
    RestfulServer slow = face(type -> true, LARGEST_PAGE);
    slow.registerInterceptor(new Delay());
    ServletContextHandler web = new ServletContextHandler("/");
    web.addServlet(new ServletHolder(face(type -> true, LARGEST_PAGE)), "/fhir/*");
    web.addServlet(new ServletHolder(face(type -> true, SMALL_PAGE)), "/small/*");
    web.addServlet(
        new ServletHolder(face(type -> !NOT_ON_SPARSE.contains(type), LARGEST_PAGE)), "/sparse/*");
    web.addServlet(new ServletHolder(guarded), "/guarded/*");
    web.addServlet(new ServletHolder(slow), "/slow/*");
    return web;
  }

  private RestfulServer face(Predicate<String> isKnown, int largestPage) {
    RestfulServer rest = new RestfulServer(beans.getBean(FhirContext.class));
    for (Object provider : providers) {
      if (isKnown.test(resourceType(provider))) {
        rest.registerProvider(provider);
      }
    }
    rest.registerProvider(beans.getBean(JpaSystemProvider.class));
    DatabaseBackedPagingProvider paging = new DatabaseBackedPagingProvider();
    paging.setDefaultPageSize(Math.min(DEFAULT_PAGE, largestPage));
    paging.setMaximumPageSize(largestPage);
    beans.getAutowireCapableBeanFactory().autowireBean(paging);
    rest.setPagingProvider(paging);
    rest.setServerConformanceProvider(capabilities(rest));
    return rest;
  }

  private String resourceType(Object provider) {
    return provider instanceof IResourceProvider typed
        ? beans.getBean(FhirContext.class).getResourceType(typed.getResourceType())
        : "";
  }

  @SuppressWarnings("unchecked") // the bean of the version is the one that its provider takes
  private IServerConformanceProvider<?> capabilities(RestfulServer rest) {
    IFhirSystemDao<?, ?> system = beans.getBean(IFhirSystemDao.class);
    JpaStorageSettings settings = beans.getBean(JpaStorageSettings.class);
    ISearchParamRegistry parameters = beans.getBean(ISearchParamRegistry.class);
    switch (rest.getFhirContext().getVersion().getVersion()) {
      case DSTU2:
        return new JpaConformanceProviderDstu2(
            rest,
            (IFhirSystemDao<
                    ca.uhn.fhir.model.dstu2.resource.Bundle,
                    ca.uhn.fhir.model.dstu2.composite.MetaDt>)
                system,
            settings);
      case DSTU3:
        return new JpaConformanceProviderDstu3(
            rest,
            (IFhirSystemDao<org.hl7.fhir.dstu3.model.Bundle, org.hl7.fhir.dstu3.model.Meta>) system,
            settings,
            parameters);
      default:
        return new JpaCapabilityStatementProvider(
            rest, system, settings, parameters, beans.getBean(IValidationSupport.class));
    }
  }
}
