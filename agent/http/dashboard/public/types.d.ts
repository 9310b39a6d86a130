export type {
  ApiAlert,
  ApiChange,
  ApiSession,
  RouteExplanation,
  StatusDocument,
  StatusInstance,
  StatusService,
} from '../../schemas.ts';
