/** The name of the Worker's binding to the private network (Workers VPC) of a site's gateways. */
export const vpcBinding = (site: string): `VPC_${string}` =>
  `VPC_${site.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}`;
