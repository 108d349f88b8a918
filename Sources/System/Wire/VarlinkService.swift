// org.varlink.service: what every Varlink server answers about itself.

/// The standard interface: which interfaces a server has, and their definitions.
public struct VarlinkService: Sendable {
    public static let name = "org.varlink.service"
    public static let definition = """
        # The Varlink Service Interface is provided by every varlink service. It describes the service and the interfaces it implements.
        interface org.varlink.service

        # Get a list of all the interfaces a service provides and information about the implementation.
        method GetInfo() -> (vendor: string, product: string, version: string, url: string, interfaces: []string)

        # Get the description of an interface that is implemented by this service.
        method GetInterfaceDescription(interface: string) -> (description: string)

        # The requested interface was not found.
        error InterfaceNotFound (interface: string)

        # The requested method was not found.
        error MethodNotFound (method: string)

        # The interface defines the requested method, but the service does not implement it.
        error MethodNotImplemented (method: string)

        # One of the passed parameters is invalid.
        error InvalidParameter (parameter: string)

        # Client is denied access.
        error PermissionDenied ()

        # Method is expected to be called with 'more' set to true, but wasn't.
        error ExpectedMore ()
        """

    public var vendor: String
    public var product: String
    public var version: String
    public var url: String
    /// Beside the standard one.
    public var interfaces: [VarlinkInterface]

    public init(vendor: String, product: String, version: String, url: String, interfaces: [VarlinkInterface]) {
        self.vendor = vendor
        self.product = product
        self.version = version
        self.url = url
        self.interfaces = interfaces
    }

    /// The reply to a call of the standard interface, or to a call of an interface or method that nobody has. `nil`: the call is of one
    /// of `interfaces` and of a method in its definition.
    public func reply(to call: VarlinkCall) -> VarlinkReply? {
        guard let interface = call.interfaceName, !interface.isEmpty else { return Self.methodNotFound(call.method) }
        if interface == Self.name { return standardReply(to: call) }
        guard let known = interfaces.first(where: { $0.name == interface }) else { return Self.interfaceNotFound(interface) }
        return known.method(call.methodName) != nil ? nil : Self.methodNotFound(call.method)
    }

    private func standardReply(to call: VarlinkCall) -> VarlinkReply {
        switch call.methodName {
        case "GetInfo":
            return VarlinkReply([
                "vendor": .string(vendor), "product": .string(product), "version": .string(version), "url": .string(url),
                "interfaces": .array(([Self.name] + interfaces.map(\.name)).map(JSONValue.string)),
            ])
        case "GetInterfaceDescription":
            guard let wanted = call.parameters["interface"]?.stringValue else { return Self.invalidParameter("interface") }
            if wanted == Self.name { return VarlinkReply(["description": .string(Self.definition)]) }
            guard let known = interfaces.first(where: { $0.name == wanted }) else { return Self.interfaceNotFound(wanted) }
            return VarlinkReply(["description": .string(known.text)])
        default:
            return Self.methodNotFound(call.method)
        }
    }

    public static func interfaceNotFound(_ interface: String) -> VarlinkReply {
        VarlinkReply(error: name + ".InterfaceNotFound", parameters: ["interface": .string(interface)])
    }
    public static func methodNotFound(_ method: String) -> VarlinkReply {
        VarlinkReply(error: name + ".MethodNotFound", parameters: ["method": .string(method)])
    }
    public static func invalidParameter(_ parameter: String) -> VarlinkReply {
        VarlinkReply(error: name + ".InvalidParameter", parameters: ["parameter": .string(parameter)])
    }
    public static func expectedMore() -> VarlinkReply { VarlinkReply(error: name + ".ExpectedMore") }
}
