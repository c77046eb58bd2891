import java.util.List;

import org.jivesoftware.smack.ConnectionListener;
import org.jivesoftware.smack.ReconnectionListener;
import org.jivesoftware.smack.ReconnectionManager;
import org.jivesoftware.smack.XMPPException.StreamErrorException;
import org.jivesoftware.smack.XMPPException.XMPPErrorException;
import org.jivesoftware.smack.filter.StanzaTypeFilter;
import org.jivesoftware.smack.packet.Bind;
import org.jivesoftware.smack.packet.StandardExtensionElement;
import org.jivesoftware.smack.packet.StanzaError;
import org.jivesoftware.smack.packet.StreamError;
import org.jivesoftware.smack.tcp.XMPPTCPConnection;
import org.jivesoftware.smack.tcp.XMPPTCPConnectionConfiguration;

// What follows is for the test.
import java.io.PrintStream;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.function.BiConsumer;
import java.util.stream.Collectors;

import org.jivesoftware.smack.ConnectionConfiguration.SecurityMode;
import org.jivesoftware.smack.XMPPConnection;
import org.jivesoftware.smack.filter.IQTypeFilter;

/**
 * Smack as a test client: see the package comment of internal/clients for the arguments and for what it prints. Device is what docs/clients.md shows.
 */
public class Client {

    static abstract class Device implements ConnectionListener, ReconnectionListener {
        final XMPPTCPConnection connection;
        String token = ""; // of a grant, or of the session that the user chose to sign out

        Device(XMPPTCPConnectionConfiguration configuration) {
            connection = new XMPPTCPConnection(configuration);
            connection.addConnectionListener(this);
            connection.addStanzaInterceptor(bind -> {
                if (!token.isEmpty()) {
                    bind.addExtension(StandardExtensionElement.builder("takeover", "urn:bindgate:1").addAttribute("token", token).build());
                }
            }, new StanzaTypeFilter(Bind.class));
            ReconnectionManager.getInstanceFor(connection).addReconnectionListener(this);
            ReconnectionManager.getInstanceFor(connection).enableAutomaticReconnection();
        }

        /** Returns when the device is signed in or the user has been told why not. */
        void signIn() throws Exception {
            for (int delay = 1; ; delay = Math.min(2 * delay, 60)) {
                try {
                    connection.connect();
                    connection.login();
                    return;
                } catch (XMPPErrorException e) {
                    if (!passes(e.getStanzaError())) {
                        denied(e.getStanzaError());
                        return;
                    }
                    connection.instantShutdown();
                    Thread.sleep(delay * 1000L);
                }
            }
        }

        static boolean passes(StanzaError error) {
            StandardExtensionElement why = error.getExtension("denied", "urn:bindgate:1");
            return why == null || "unavailable".equals(why.getAttributeValue("code"));
        }

        /** The stream has ended. Smack does not reconnect after a conflict, so there is no timer to stop. */
        @Override
        public void connectionClosedOnError(Exception e) {
            if (e instanceof StreamErrorException) {
                StreamError error = ((StreamErrorException) e).getStreamError();
                if (error.getCondition() == StreamError.Condition.conflict) {
                    tellSignedOut(error.getDescriptiveText(), error.getExtension("ended", "urn:bindgate:1"));
                }
            }
        }

        @Override
        public void reconnectingIn(int seconds) {
        }

        /** Smack has come back by itself and was not let in. */
        @Override
        public void reconnectionFailed(Exception e) {
            if (e instanceof XMPPErrorException) {
                StanzaError error = ((XMPPErrorException) e).getStanzaError();
                if (passes(error)) {
                    connection.instantShutdown(); // and Smack goes on; after disconnect() it would not
                } else {
                    denied(error);
                }
            }
        }

        void denied(StanzaError error) {
            StandardExtensionElement why = error.getExtension("denied", "urn:bindgate:1");
            connection.disconnect(); // Smack cannot bind again on this stream
            if (!"choose".equals(why.getAttributeValue("code"))) {
                tellDenied(error.getDescriptiveText(), why);
                return;
            }
            askWhich(why.getElements("session", "urn:bindgate:1"));
        }

        abstract void tellSignedOut(String text, StandardExtensionElement ended);

        abstract void tellDenied(String text, StandardExtensionElement why);

        /** Sets token to that of the session which the user chooses, and calls signIn. */
        abstract void askWhich(List<StandardExtensionElement> sessions);
    }

    static final PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    public static void main(String[] args) throws Exception {
        String host = args[0], domain = args[4];
        int port = Integer.parseInt(args[1]);
        ReconnectionManager.setEnabledPerDefault(true);
        ReconnectionManager.setDefaultFixedDelay(1);
        for (int i = 5; i < args.length; i++) {
            String[] login = args[i].split("/", -1);
            XMPPTCPConnectionConfiguration configuration = XMPPTCPConnectionConfiguration.builder()
                .setXmppDomain(domain).setHostAddress(InetAddress.getByName(host)).setPort(port).setSecurityMode(SecurityMode.disabled)
                .setUsernameAndPassword(login[0], "pw").setResource(login[1]).setLanguage(Locale.forLanguageTag(login[2]))
                .build();
            new Thread(() -> run(configuration, login[0], login[2], login[3], login[4])).start();
        }
        Thread.sleep(Long.MAX_VALUE); // Smack's own threads do not keep the program alive
    }

    static void run(XMPPTCPConnectionConfiguration configuration, String user, String lang, String mode, String token) {
        BiConsumer<String, Map<String, String>> say = (what, more) -> say(what, user, more);
        try {
            if (mode.equals("polite")) {
                Device device = polite(configuration, say);
                watchOnline(device.connection, say);
                device.connection.addStanzaListener(answer -> {
                    if (answer.getError() != null && Device.passes(answer.getError())) {
                        say.accept("later", Map.of());
                    }
                }, IQTypeFilter.ERROR);
                device.token = token;
                device.signIn();
                return;
            }
            XMPPTCPConnection connection = new XMPPTCPConnection(configuration);
            watchOnline(connection, say);
            watch(connection, say, lang);
            connection.connect();
            connection.login();
        } catch (XMPPErrorException e) {
            say.accept("denied", denial(e.getStanzaError(), lang));
        } catch (Exception e) {
            e.printStackTrace();
        }
    }

    /** A device whose user is told things, and chooses the first session. */
    static Device polite(XMPPTCPConnectionConfiguration configuration, BiConsumer<String, Map<String, String>> say) {
        return new Device(configuration) {
            @Override
            void tellSignedOut(String text, StandardExtensionElement ended) {
                say.accept("told", attributes(text, ended));
            }

            @Override
            void tellDenied(String text, StandardExtensionElement why) {
                say.accept("told", attributes(text, why));
            }

            @Override
            void askWhich(List<StandardExtensionElement> sessions) {
                say.accept("asked", Map.of("resources", sessions.stream().map(s -> s.getAttributeValue("resource")).collect(Collectors.joining(" "))));
                token = sessions.get(0).getAttributeValue("token");
                try {
                    signIn();
                } catch (Exception e) {
                    e.printStackTrace();
                }
            }
        };
    }

    static void watchOnline(XMPPTCPConnection connection, BiConsumer<String, Map<String, String>> say) {
        connection.addConnectionListener(new ConnectionListener() {
            @Override
            public void authenticated(XMPPConnection c, boolean resumed) {
                say.accept("online", Map.of("jid", c.getUser().toString()));
            }
        });
    }

    /** Says what Smack tells any application. */
    static void watch(XMPPTCPConnection connection, BiConsumer<String, Map<String, String>> say, String lang) {
        connection.addConnectionListener(new ConnectionListener() {
            @Override
            public void connectionClosed() {
                say.accept("closed", Map.of());
            }

            @Override
            public void connectionClosedOnError(Exception e) {
                if (e instanceof StreamErrorException) {
                    StreamError error = ((StreamErrorException) e).getStreamError();
                    Map<String, String> more = attributes(error.getDescriptiveText(lang), error.getExtension("ended", "urn:bindgate:1"));
                    more.put("condition", error.getCondition().toString().replace('_', '-'));
                    more.put("lang", error.getDescriptiveText(lang) == null ? "" : lang); // it was found by it
                    say.accept("ended", more);
                }
                say.accept("closed", Map.of());
            }
        });
        ReconnectionManager.getInstanceFor(connection).addReconnectionListener(new ReconnectionListener() {
            @Override
            public void reconnectingIn(int seconds) {
            }

            @Override
            public void reconnectionFailed(Exception e) {
                if (e instanceof XMPPErrorException) {
                    say.accept("denied", denial(((XMPPErrorException) e).getStanzaError(), lang));
                }
            }
        });
    }

    static Map<String, String> denial(StanzaError error, String lang) {
        Map<String, String> more = attributes(error.getDescriptiveText(lang), error.getExtension("denied", "urn:bindgate:1"));
        more.put("condition", error.getCondition().toString().replace('_', '-'));
        more.put("type", error.getType().toString().toLowerCase(Locale.ROOT));
        return more;
    }

    static Map<String, String> attributes(String text, StandardExtensionElement element) {
        Map<String, String> out = new LinkedHashMap<>();
        if (element != null) {
            out.putAll(element.getAttributes());
        }
        out.put("text", text == null ? "" : text);
        return out;
    }

    static synchronized void say(String what, String user, Map<String, String> more) {
        Map<String, String> all = new LinkedHashMap<>();
        all.put("what", what);
        all.put("user", user);
        all.putAll(more);
        out.println(all.entrySet().stream().map(e -> quote(e.getKey()) + ":" + quote(e.getValue())).collect(Collectors.joining(",", "{", "}")));
    }

    static String quote(String s) {
        return '"' + s.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + '"';
    }
}
